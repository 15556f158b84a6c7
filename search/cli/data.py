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

from search.cli.options import DataRootOption, JsonOption, StudyArgument, load, output

if TYPE_CHECKING:
    from search.planning.data import DataCheck
    from trainables.rows.rows import RowsDescription

app = typer.Typer(
    help="The rows of a study: are they there, bring them here, take them along.",
    no_args_is_help=True,
)


@app.command()
def check(
    study: StudyArgument, data_root: DataRootOption = None, as_json: JsonOption = False
) -> None:
    """Read all rows of a study and check them: counts, licences, digests; exit code 2 if any are
    unfit."""
    from search.display.progress import counting
    from search.planning.data import check_data

    with counting(Console(stderr=True), "checking") as on_done:
        found = check_data(load(study, None, data_root), on_done=on_done)
    _conclude(found, as_json)


@app.command()
def fetch(study: StudyArgument, as_json: JsonOption = False) -> None:
    """Fill the hub's cache with a study's rows and encoder, to run it without a network."""
    from search.display.progress import counting
    from search.planning.data import fetch_data

    with counting(Console(stderr=True), "fetching") as on_done:
        found = fetch_data(load(study, None, None), on_done=on_done)
    _conclude(found, as_json)


@app.command()
def bundle(
    study: StudyArgument,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    data_root: DataRootOption = None,
) -> None:
    """Write a study's rows into a folder that --data-root reads, with checksums and licences."""
    from search.display.progress import counting
    from search.planning.data import bundle_data, not_copied

    with counting(Console(stderr=True), "copying") as on_done:
        found = bundle_data(load(study, None, data_root), folder, on_done=on_done)
    print(f"wrote {folder}")
    for line in not_copied(found):
        print(f"not copied: {line}")


def _conclude(found: "DataCheck", as_json: bool) -> None:
    output(found, as_json, lambda console: _print(found, console))
    if found.errors:
        raise typer.Exit(2)


def _print(found: "DataCheck", console: Console) -> None:
    table = Table("task", "split", "languages", "rows", "each", "notes", box=None)
    table.add_column("digest", no_wrap=True)
    for (task, split), group in groupby(found.found, key=lambda one: (one.task, one.split)):
        table.add_row(Text(task), split, *_columns(list(group)))
    console.print(table)
    for licence, datasets in _licences(found.found).items():
        console.print(f"licence {licence}: {', '.join(datasets)}", markup=False, highlight=False)
    for (task, split), places in groupby(found.missing, key=lambda one: (one.task, one.split)):
        names = " ".join(place.language for place in places)
        console.print(f"no rows: {task} {split} in {names}", markup=False, highlight=False)
    for warning in found.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for error in found.errors:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def _columns(group: list["RowsDescription"]) -> list[str]:
    """Languages, rows, notes and a digest of one task's split in all its languages."""
    counts = [one.num_rows for one in group]
    dropped, mended = sum(one.num_dropped for one in group), sum(one.num_mended for one in group)
    notes = [(dropped, "placeholders dropped"), (mended, "answers mended")]
    digests = "".join(one.digest for one in group)
    few, many = min(counts), max(counts)
    return [
        f"{len(group)}: {' '.join(one.language for one in group)}",
        f"{sum(counts):,}",
        f"{few:,}" if few == many else f"{few:,}–{many:,}",
        ", ".join(f"{count} {what}" for count, what in notes if count),
        hashlib.sha256(digests.encode()).hexdigest()[:8],
    ]


def _licences(found: Iterable["RowsDescription"]) -> dict[str, list[str]]:
    """Licence -> the tasks whose rows are under it."""
    names: dict[str, dict[str, None]] = {}
    for one in found:
        names.setdefault(one.licence or "unknown", {})[one.task] = None
    return {licence: list(tasks) for licence, tasks in sorted(names.items())}
