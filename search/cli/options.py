"""Arguments and options that several commands share, and how their results are printed."""

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from spaces.json_values import to_json
from spaces.refusal import Refusal

StudyArgument = Annotated[str, typer.Argument(help="A shipped study by name, or a TOML file.")]
NameArgument = Annotated[
    str, typer.Argument(help="A study that was run: its name, or its TOML file.")
]
HomeOption = Annotated[
    str | None,
    typer.Option(help="Home folder; else $TRANSFER_SEARCH_HOME, else .transfer-search here."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
RenameOption = Annotated[
    str | None, typer.Option("--name", help="Run the study under another name.")
]
DataRootOption = Annotated[
    str | None,
    typer.Option("--data-root", help="Folder in the hub's layout; else the study's, else the hub."),
]
ExperimentOption = Annotated[
    str | None, typer.Option(help="MLflow experiment; else the study file's.")
]
TrackingOption = Annotated[
    str | None, typer.Option(help="MLflow's address; else as `run` finds it.")
]


def check_seeds(seeds: int | None, *, retrain: bool) -> None:
    """Where a command may search or retrain."""
    if seeds is not None and not retrain:
        raise Refusal("--seeds needs --retrain; a search takes its seeds from the study file")


def output(content: object, as_json: bool, show: Callable[[Console], None]) -> None:
    """Print the content, a dataclass or a mapping, as one JSON object, or as `show` prints it."""
    if as_json:
        print(json.dumps(to_json(content), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show(Console())
