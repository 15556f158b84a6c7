"""Arguments and options that several commands share, and how their results are printed."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from spaces.json_values import to_json
from spaces.refusal import Refusal

StudyArgument = Annotated[
    str, typer.Argument(help="Name of a shipped study, or path of a TOML file.")
]
NameArgument = Annotated[
    str, typer.Argument(help="Name of a study that was run, or path of its TOML file.")
]
HomeOption = Annotated[
    str | None,
    typer.Option(help="Home folder; default: $TRANSFER_SEARCH_HOME, else .transfer-search."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
RenameOption = Annotated[
    str | None, typer.Option("--name", help="Run the study under another name.")
]
DataRootOption = Annotated[
    str | None,
    typer.Option(
        "--data-root",
        help="Folder of data sets in the hub's layout; default: the study's, else the hub.",
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option("--encoder", help="Folder to read in place of the study's encoder."),
]
ExperimentOption = Annotated[
    str | None,
    typer.Option(help="MLflow experiment; default: that of the study file, else transfer-search."),
]
TrackingOption = Annotated[
    str | None, typer.Option(help="Address of MLflow; default: the address that `run` uses.")
]


def check_seeds(seeds: int | None, *, retrain: bool) -> None:
    """Refuse --seeds without --retrain, for the commands that start a search or a retrain."""
    if seeds is not None and not retrain:
        raise Refusal("--seeds needs --retrain; a search takes its seeds from the study file")


def output(content: object, as_json: bool, show: Callable[[Console], None]) -> None:
    """Print the content, a dataclass or a mapping, as one JSON object, or as `show` prints it."""
    if as_json:
        print(json.dumps(to_json(content), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show(Console())


def write_page(path: Path, text: str) -> None:
    """Write a text to a file that the user names. Raises Refusal where that fails; a new file is
    then removed again."""
    is_new = not path.exists()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        if is_new:
            with contextlib.suppress(OSError):
                path.unlink()
        raise Refusal(f"{path} cannot be written: {error.strerror}") from error
