"""The `k8s` commands: a study's manifests."""

import json
import sys
from typing import Annotated

import typer

from search.cli.options import JsonOption, StudyArgument, check_seeds
from search.cluster.manifests import Command, Overlay, study_objects, to_yaml
from spaces.study import read_text

app = typer.Typer(help="A study on Kubernetes.", no_args_is_help=True)


@app.command()
def render(
    study: StudyArgument,
    overlay: Annotated[
        Overlay | None, typer.Option(help="Which cluster; else as the study has GPUs or none.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="NAME@sha256:DIGEST; else a placeholder for kustomize.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="Where the service is.")] = "transfer-search",
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Retrain its best trial instead of searching.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Of `--retrain`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what `kubectl apply -f -` needs to run a study. Starts nothing, asks no cluster."""
    check_seeds(seeds, retrain=retrain)
    objects = study_objects(
        read_text(study),
        command=Command.RETRAIN if retrain else Command.RUN,
        overlay=overlay,
        image=image,
        namespace=namespace,
        num_seeds=seeds,
        where=study,
    )
    if as_json:
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1))
    else:
        sys.stdout.write(to_yaml(objects))
