"""evaluate, compare and predict: commands that use what was searched."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search.cli.options import (
    DataRootOption,
    ExperimentOption,
    HomeOption,
    JsonOption,
    NameArgument,
    TrackingOption,
    output,
)
from search.home import Home
from spaces.refusal import Refusal


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
    xtreme_rows: Annotated[
        Path | None,
        typer.Option(
            help="With --xtreme: the folder that XTREME's download script wrote; where it has test "
            "rows, the submission answers these."
        ),
    ] = None,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the best trial as it stands, by target, language and metric. Trains nothing."""
    from search.cli.views import show_evaluation
    from search.record.address import RecordAddress
    from search.winner.evaluate import evaluate_trial

    folder = Home.of(home)
    evaluation = evaluate_trial(
        RecordAddress.find(study, folder, experiment=experiment, tracking_uri=tracking_uri),
        folder,
        split=split,
        trial=trial,
        xtreme=xtreme,
        xtreme_rows=xtreme_rows,
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
    from search.cli.views import show_comparison
    from search.record.address import RecordAddress
    from search.record.reader import read_study
    from search.record.writer import drain_left
    from search.report.comparison import compare as compare_records

    folder, records = Home.of(home), []
    for address in [
        RecordAddress.find(study, folder, experiment=experiment, tracking_uri=tracking_uri)
        for study in studies
    ]:
        drain_left(address, outbox=folder.outbox(address.study))
        records.append(read_study(address))
    content = compare_records(records, force=force)
    output(content, as_json, lambda console: show_comparison(content, console))


def predict(
    model: Annotated[
        str,
        typer.Argument(help="A folder of `export`, models:/NAME/VERSION or models:/NAME@champion."),
    ],
    file: Annotated[
        Path | None, typer.Argument(help="Rows, as JSONL or CSV; else standard input.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl or csv; else by the file's ending.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new file; else standard output.")] = None,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Answer rows with a model: one JSON line for each, in order."""
    from search.display.progress import counting
    from search.winner.predict import format_of, load_model, predict_rows

    chosen, errors = format_of(file, form), Console(stderr=True)
    if file is None and sys.stdin.isatty():
        raise Refusal("no rows: name a file, or pipe them in")
    predictor = load_model(model, tracking_uri=tracking_uri or Home.of(home).mlflow_uri())
    try:
        with counting(errors, "predicting") as on_done:
            told = on_done if errors.is_terminal else lambda done, of: None
            predict_rows(predictor, file, form=chosen, out=out, on_done=told)
    except BrokenPipeError:
        # Whoever read the answers has gone: what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
