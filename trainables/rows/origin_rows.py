"""Raw rows of a language and split, read from the origin that the task's entry names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spaces.refusal import Refusal, shown
from spaces.tasks.origin import Layout, Origin
from trainables.row_files.columns import check_columns, is_kept, with_our_columns
from trainables.rows import bucc, ccgbank, xtreme_files
from trainables.rows.bundle import OwnPart, Part
from trainables.rows.cards import licence_of
from trainables.rows.folders import HINT, find_own_folder, read_own_rows
from trainables.rows.hub import NoRowsError, raw_rows


@dataclass(frozen=True, slots=True)
class OriginRows:
    """(fallback id, raw row) of every row; the fallback id is made of the split and the row's
    number. `commit` is "" where the rows are not from the hub."""

    rows: list[tuple[str, dict[str, Any]]]
    commit: str = ""


def read_origin(
    origin: Origin, language: str, names: Sequence[str], data_root: str | None
) -> OriginRows:
    """The rows of these splits, one split after the other, with our columns.

    Args:
        names: the data set's names for the splits.

    Raises:
        NoRowsError: there is no such config or split, or no row of the language in it.
        Refusal: the data set or folder does not exist, or its rows cannot be read, or they have
            not the columns that the origin names.
    """
    numbered: list[tuple[str, dict[str, Any]]] = []
    commits = []
    for name in names:
        rows, commit = _read(origin, language, name, data_root)
        numbered += [(f"{name}-{number:06d}", row) for number, row in enumerate(rows)]
        commits.append(commit)
    return OriginRows(
        _with_our_columns(numbered, origin, language, "+".join(names)),
        " ".join(sorted({*commits} - {""})),
    )


def parts_of_origin(
    origin: Origin, language: str, names: Sequence[str]
) -> tuple[Part, ...] | tuple[OwnPart, ...]:
    """The splits on the hub, or in a folder of your own, that the rows come from."""
    config = origin.config_of(language) or ""
    if origin.layout is Layout.HUB:
        return tuple(Part(origin.dataset, config, name, origin.revision or "") for name in names)
    return tuple(OwnPart(origin.dataset, config, name, origin.layout) for name in names)


def licence(origin: Origin, language: str, data_root: str | None, commit: str) -> str | None:
    """The licence of the rows, where it is known; None for folders of your own."""
    if origin.layout is not Layout.HUB:
        return None
    return licence_of(origin.dataset, origin.config_of(language), data_root, commit)


def _with_our_columns(
    rows: list[tuple[str, dict[str, Any]]], origin: Origin, language: str, split: str
) -> list[tuple[str, dict[str, Any]]]:
    """The rows that the origin's filter keeps, with our columns. Ids are those of the whole
    split."""
    if not (origin.columns or origin.where or origin.label_names):
        return rows
    name = f"{origin.dataset!r} ({language}, {split})"
    check_columns([row for _, row in rows], origin, name)
    where = origin.where_of(language)
    kept = [(row_id, row) for row_id, row in rows if is_kept(row, where)]
    if rows and not kept:
        # A filter by language leaves no row where a split has none in the language.
        error = Refusal if where == origin.where else NoRowsError
        wanted = " and ".join(f"{column} = {shown(list(values))}" for column, values in where)
        raise error(f"none of the {len(rows):,} rows of {name} has {wanted}; correct `where`")
    return [(row_id, with_our_columns(row, origin)) for row_id, row in kept]


def _read(
    origin: Origin, language: str, name: str, data_root: str | None
) -> tuple[list[dict[str, Any]], str]:
    config = origin.config_of(language)
    if origin.layout is Layout.HUB:
        raw = raw_rows(origin.dataset, config, name, revision=origin.revision, data_root=data_root)
        return raw.rows, raw.commit
    if origin.layout is Layout.CCGBANK:
        folder = find_own_folder(origin.dataset, data_root, hint=ccgbank.HINT)
        return ccgbank.ccg_rows(folder, name), ""
    if origin.layout is Layout.BUCC:
        folder = find_own_folder(origin.dataset, data_root, hint=bucc.HINT)
        return bucc.bucc_rows(folder, config or language, name), ""
    if origin.layout is Layout.XTREME:
        folder = find_own_folder(origin.dataset, data_root, hint=xtreme_files.HINT)
        return xtreme_files.xtreme_rows(folder, origin.reader, config or language, name), ""
    folder = find_own_folder(origin.dataset, data_root, hint=HINT)
    return read_own_rows(folder, config, name, header=origin.header), ""
