"""The commands evaluate, compare and predict, which use the results of a search."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search.cli.options import (
    DataRootOption,
    EncoderOption,
    ExperimentOption,
    HomeOption,
    JsonOption,
    NameArgument,
    TrackingOption,
    output,
)
from spaces.refusal import Refusal


def evaluate(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    trial: Annotated[
        int | None, typer.Option(help="Number of the trial; default: the best trial.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to score: test or validation.")] = "test",
    xtreme: Annotated[
        Path | None,
        typer.Option(help="New folder for a submission: score all of XTREME's test rows instead."),
    ] = None,
    xtreme_rows: Annotated[
        Path | None,
        typer.Option(
            help="With --xtreme: the folder that XTREME's download script wrote; where it has test "
            "rows, the submission answers these."
        ),
    ] = None,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the best trial on one split, by target, language and metric.

    Nothing is trained or recorded.
    """
    from search import api
    from search.cli.views import show_evaluation
    from search.display.progress import counting

    with counting(Console(stderr=True), "pretraining") as on_pretrained:
        evaluation = api.evaluate(
            study,
            split=split,
            trial=trial,
            xtreme=xtreme,
            xtreme_rows=xtreme_rows,
            data_root=data_root,
            encoder=encoder,
            home=home,
            experiment=experiment,
            tracking_uri=tracking_uri,
            on_pretrained=on_pretrained,
        )
    output(evaluation.to_dict(), as_json, lambda console: show_evaluation(evaluation, console))


def compare(
    studies: Annotated[
        list[str], typer.Argument(help="Studies that were run: names or TOML files.")
    ],
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    force: Annotated[bool, typer.Option(help="Compare scores of different protocols.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show studies side by side, by target.

    Everything is read from MLflow.
    """
    from search import api
    from search.cli.views import show_comparison
    from search.report.comparison import compare as compare_records

    where = {"home": home, "experiment": experiment, "tracking_uri": tracking_uri}
    records = [api.read(study, **where).record for study in studies]
    comparison = compare_records(records, force=force)
    output(comparison, as_json, lambda console: show_comparison(comparison, console))


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder that `export` wrote, models:/NAME/VERSION or models:/NAME@champion."
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(help="File with rows, JSONL or CSV; default: standard input.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl or csv; default: by the file's ending.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New file for the answers; default: standard output.")
    ] = None,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Answer rows with a model.

    The output has one JSON line for each row, in the order of the rows.
    """
    from search import api
    from search.display.progress import counting
    from search.winner.predict import format_of, predict_rows

    chosen, errors = format_of(file, form), Console(stderr=True)
    if file is None and sys.stdin.isatty():
        raise Refusal("there are no rows; name a file, or pipe rows to standard input")
    predictor = api.load_model(model, home=home, tracking_uri=tracking_uri)
    with counting(errors, "predicting") as show:
        on_done = show if errors.is_terminal else lambda done, of: None
        predict_rows(predictor, file, form=chosen, out=out, on_done=on_done)
