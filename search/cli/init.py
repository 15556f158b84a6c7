"""The command `init`: the study file of a folder of rows."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from spaces.languages import get_language
from spaces.refusal import Refusal
from spaces.tasks.task import TaskKind

if TYPE_CHECKING:
    from search.init.write import NewStudy

FILES = "LANGUAGE/SPLIT.jsonl (.parquet, .csv, .tsv, .conll, .conllu)"


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study; gets study.toml.")],
    rows: Annotated[
        Path | None,
        typer.Option(help=f"Folder of rows with files {FILES}; default: FOLDER/rows."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Name on the hub, folder, or `pocket` to try everything out; default: XLM-R Base."
        ),
    ] = None,
    kind: Annotated[
        TaskKind | None, typer.Option(help="Kind of the task; default: guessed from the rows.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Language to train in; default: English, else that with most training rows."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study; default: that of the folder.")
    ] = None,
) -> None:
    """Write the study file of a folder of rows.

    The kind of the task, its columns, labels and languages are guessed from the rows.
    """
    from search.init.write import init_study

    made = init_study(
        folder, rows or _rows_of(folder), encoder=encoder, kind=kind, source=source, name=name
    )
    console = Console()
    for line in _lines(made):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _rows_of(folder: Path) -> Path:
    """The folder of rows where no option names it: FOLDER/rows, else what the user types."""
    if (folder / "rows").is_dir():
        return folder / "rows"
    if not sys.stdin.isatty():
        raise Refusal(
            f"there is no folder {str(folder / 'rows')!r}; put the rows there as {FILES}, or give "
            "their folder by --rows"
        )
    return Path(typer.prompt(f"Folder of rows with files {FILES}"))


def _lines(made: "NewStudy") -> Iterator[str]:
    """What was found and guessed, and the next command."""
    draft = made.draft
    for code in draft.languages:
        counts = ", ".join(
            f"{split} {made.folder.num_rows(code, split):,}"
            for split in made.folder.splits
            if made.folder.num_rows(code, split)
        )
        yield f"{code} ({get_language(code).name}): {counts}"
    labels = f", {len(draft.labels)} labels: {', '.join(draft.labels[:8])}" if draft.labels else ""
    more = ", ..." if len(draft.labels) > 8 else ""
    pairs = " of pairs" if draft.is_pair else ""
    yield f"task {made.task!r}: {draft.kind}{pairs}{labels}{more}"
    if draft.columns:
        columns = (f"{ours} = {theirs}" for ours, theirs in draft.columns.items())
        yield f"columns: {', '.join(columns)}"
    if draft.unread:
        yield f"columns that are not read: {', '.join(draft.unread)}"
    if draft.kind is not TaskKind.MLM:
        scored = [code for code in draft.languages if code != draft.source]
        trained = f"trained in {draft.source}, " if draft.num_train_rows else ""
        yield f"{trained}scored in {' '.join(scored)}"
    yield from (f"warning: {warning}" for warning in draft.warnings)
    path = shlex.quote(str(made.path))
    yield f"wrote {made.path}; read it and change what does not fit"
    yield f"next: transfer-search data check {path}"
    yield f"then: transfer-search plan {path}"
