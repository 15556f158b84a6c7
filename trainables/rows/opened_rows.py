"""Raw rows of a language and split from wherever a task's entry says that they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spaces.origin import Layout, Origin
from trainables.rows import bucc, ccgbank
from trainables.rows.bundle import OwnPart, Part
from trainables.rows.cards import licence_of
from trainables.rows.folders import HINT, own_folder, own_rows
from trainables.rows.hub import raw_rows


@dataclass(frozen=True, slots=True)
class OpenedRows:
    """(place, row) of every row, the place being its name where it has none of its own; `commit`
    is "" where they are from no data set of the hub."""

    rows: list[tuple[str, dict[str, Any]]]
    commit: str = ""


def raw_of(
    origin: Origin, language: str, names: Sequence[str], data_root: str | None
) -> OpenedRows:
    """The rows of these splits, one after the other.

    Args:
        names: as the splits are called there.

    Raises:
        NoRowsError: there is no such config or split.
        Refusal: the place is not there, or what is there cannot be read.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    commits = []
    for name in names:
        rows, commit = _read(origin, language, name, data_root)
        found += [(f"{name}-{number:06d}", row) for number, row in enumerate(rows)]
        commits.append(commit)
    return OpenedRows(found, " ".join(sorted({*commits} - {""})))


def parts_of(
    origin: Origin, language: str, names: Sequence[str]
) -> tuple[Part, ...] | tuple[OwnPart, ...]:
    """The splits of the hub, or of a folder of one's own, that the rows come out of."""
    config = origin.config_of(language) or ""
    if origin.layout is Layout.HUB:
        return tuple(Part(origin.dataset, config, name, origin.revision or "") for name in names)
    return tuple(OwnPart(origin.dataset, config, name, origin.layout) for name in names)


def licence(origin: Origin, language: str, data_root: str | None, commit: str) -> str | None:
    """What is known of it; nothing of folders of one's own."""
    if origin.layout is not Layout.HUB:
        return None
    return licence_of(origin.dataset, origin.config_of(language), data_root, commit)


def _read(
    origin: Origin, language: str, name: str, data_root: str | None
) -> tuple[list[dict[str, Any]], str]:
    config = origin.config_of(language)
    if origin.layout is Layout.HUB:
        raw = raw_rows(origin.dataset, config, name, revision=origin.revision, data_root=data_root)
        return raw.rows, raw.commit
    if origin.layout is Layout.CCGBANK:
        folder = own_folder(origin.dataset, data_root, hint=ccgbank.HINT)
        return ccgbank.ccg_rows(folder, name), ""
    if origin.layout is Layout.BUCC:
        folder = own_folder(origin.dataset, data_root, hint=bucc.HINT)
        return bucc.bucc_rows(folder, config or language, name), ""
    return own_rows(own_folder(origin.dataset, data_root, hint=HINT), config, name), ""
