"""evaluate and compare: commands that read what was searched."""

from pathlib import Path
from typing import Annotated

import typer

from search.home import Home
from search.options import (
    DataRootOption,
    ExperimentOption,
    HomeOption,
    JsonOption,
    NameArgument,
    TrackingOption,
    find_record,
    output,
)


def evaluate(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    trial: Annotated[int | None, typer.Option(help="Another trial than the best.")] = None,
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    xtreme: Annotated[
        Path | None,
        typer.Option(help="Score XTREME's own test rows, and write a submission to a new folder."),
    ] = None,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the best trial as it stands, by target, language and metric. Trains nothing."""
    from search.evaluating import evaluate_trial
    from search.views import show_evaluation

    place = Home.of(home)
    evaluation = evaluate_trial(
        home=place,
        **find_record(study, place, experiment, tracking_uri),
        split=split,
        trial=trial,
        xtreme=xtreme,
        data_root=data_root,
    )
    output(evaluation.to_dict(), as_json, lambda console: show_evaluation(evaluation, console))


def compare(
    studies: Annotated[
        list[str], typer.Argument(help="Studies that were run: names, or TOML files.")
    ],
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    force: Annotated[bool, typer.Option(help="Mix scores of unlike protocols.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show studies side by side, by target, from MLflow alone."""
    from search.compare import compare as compare_records
    from search.record import read_study
    from search.recording import drain_left
    from search.views import show_comparison

    place, records = Home.of(home), []
    for found in [find_record(study, place, experiment, tracking_uri) for study in studies]:
        drain_left(**found, outbox=place.outbox(found["study"]))
        records.append(read_study(**found))
    content = compare_records(records, force=force)
    output(content, as_json, lambda console: show_comparison(content, console))
