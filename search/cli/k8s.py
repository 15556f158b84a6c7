"""The `k8s` commands: a study's manifests."""

import json
import sys
from typing import Annotated

import typer

from search.cli.options import JsonOption, StudyArgument, check_seeds
from search.cluster.manifests import Command, Overlay, study_objects, to_yaml
from search.display.streams import takes_unicode
from spaces.study_file.study_text import whole_text

app = typer.Typer(help="Make the Kubernetes manifests of a study.", no_args_is_help=True)


@app.command()
def render(
    study: StudyArgument,
    overlay: Annotated[
        Overlay | None,
        typer.Option(help="Kind of cluster; default: gpu if the study uses GPUs, else base."),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="Image, NAME@sha256:DIGEST; default: a placeholder for kustomize."),
    ] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the service.")] = "transfer-search",
    operator_namespace: Annotated[
        str, typer.Option(help="Namespace of KubeRay's operator.")
    ] = "default",
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Retrain the best trial instead of searching.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fresh seeds of --retrain.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the manifests that `kubectl apply -f -` needs to run a study.

    Nothing is started and no cluster is contacted.
    """
    check_seeds(seeds, retrain=retrain)
    objects = study_objects(
        whole_text(study),
        command=Command.RETRAIN if retrain else Command.RUN,
        overlay=overlay,
        image=image,
        namespace=namespace,
        operator_namespace=operator_namespace,
        num_seeds=seeds,
        where=study,
    )
    if as_json:
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1))
    else:
        sys.stdout.write(to_yaml(objects, is_ascii=not takes_unicode(sys.stdout)))
