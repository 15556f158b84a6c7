"""The `data` commands: check, fetch, bundle."""

import hashlib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.api import load_settings
from search.cli.options import DataRootOption, EncoderOption, JsonOption, StudyArgument, output

if TYPE_CHECKING:
    from search.planning.data import DataCheck
    from trainables.rows.rows import RowsDescription

app = typer.Typer(
    help="Check, fetch and copy the rows of a study.",
    no_args_is_help=True,
)


@app.command()
def check(
    study: StudyArgument,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read and check all rows of a study, and its encoder if that is in a folder given here.

    Show their counts, licences and digests. Exit code 2 if the study cannot use them.
    """
    from search.display.progress import counting
    from search.planning.data import check_data

    settings = load_settings(study, data_root=data_root, encoder=encoder)
    with counting(Console(stderr=True), "checking") as on_done:
        checked = check_data(settings, on_done=on_done)
    _conclude(checked, as_json)


@app.command()
def fetch(study: StudyArgument, as_json: JsonOption = False) -> None:
    """Fill the hub's cache with the rows and the encoder of a study.

    The study then runs without a network.
    """
    from search.display.progress import counting
    from search.planning.data import fetch_data

    with counting(Console(stderr=True), "fetching") as on_done:
        checked = fetch_data(load_settings(study), on_done=on_done)
    _conclude(checked, as_json)


@app.command()
def bundle(
    study: StudyArgument,
    folder: Annotated[Path, typer.Argument(help="New folder to write.")],
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    has_encoder: Annotated[
        bool, typer.Option("--with-encoder/--no-encoder", help="Whether the encoder is copied too.")
    ] = True,
) -> None:
    """Copy the rows and the encoder of a study into a folder that --data-root reads.

    The folder has their checksums and licences.
    """
    from search.display.progress import counting
    from search.planning.data import bundle_data, not_copied

    settings = load_settings(study, data_root=data_root, encoder=encoder)
    with counting(Console(stderr=True), "copying") as on_done:
        checked = bundle_data(settings, folder, has_encoder=has_encoder, on_done=on_done)
    print(f"wrote {folder}")
    for line in not_copied(checked):
        print(f"not copied: {line}")


def _conclude(checked: "DataCheck", as_json: bool) -> None:
    output(checked, as_json, lambda console: _print(checked, console))
    if checked.errors:
        raise typer.Exit(2)


def _print(checked: "DataCheck", console: Console) -> None:
    table = Table("task", "split", "languages", "rows", "each", "notes", box=None)
    table.add_column("digest", no_wrap=True)
    for (task, split), group in groupby(checked.found, key=lambda rows: (rows.task, rows.split)):
        table.add_row(Text(task), split, *_columns(list(group)))
    console.print(table)
    for licence, datasets in _licences(checked.found).items():
        console.print(f"licence {licence}: {', '.join(datasets)}", markup=False, highlight=False)
    for (task, split), missing in groupby(
        checked.missing, key=lambda rows: (rows.task, rows.split)
    ):
        names = " ".join(rows.language for rows in missing)
        console.print(f"no rows: {task} {split} in {names}", markup=False, highlight=False)
    if checked.encoder is not None:
        found = f"encoder {checked.encoder.folder}, digest {checked.encoder.digest[:12]}"
        console.print(found, markup=False, highlight=False, soft_wrap=True)
    for warning in checked.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for error in checked.errors:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def _columns(group: list["RowsDescription"]) -> list[str]:
    """Languages, rows, notes and a digest of one task's split in all its languages."""
    counts = [rows.num_rows for rows in group]
    dropped, mended = (
        sum(rows.num_dropped for rows in group),
        sum(rows.num_mended for rows in group),
    )
    notes = [(dropped, "placeholders dropped"), (mended, "answers mended")]
    digests = "".join(rows.digest for rows in group)
    few, many = min(counts), max(counts)
    return [
        f"{len(group)}: {' '.join(rows.language for rows in group)}",
        f"{sum(counts):,}",
        f"{few:,}" if few == many else f"{few:,}–{many:,}",
        ", ".join(f"{count} {what}" for count, what in notes if count),
        hashlib.sha256(digests.encode()).hexdigest()[:8],
    ]


def _licences(descriptions: Iterable["RowsDescription"]) -> dict[str, list[str]]:
    """Licence -> the tasks whose rows have it."""
    names: dict[str, dict[str, None]] = {}
    for rows in descriptions:
        names.setdefault(rows.licence or "unknown", {})[rows.task] = None
    return {licence: list(tasks) for licence, tasks in sorted(names.items())}
