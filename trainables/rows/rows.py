"""Rows: the examples of (task, language, split), wherever they come from, and their digests."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import accumulate

from spaces.refusal import unknown
from spaces.study import StudySettings
from spaces.task_catalog import SPLITS, Task, get_task
from trainables.examples import Example
from trainables.formats.kinds import format_of_task
from trainables.pocket import rows as pocket
from trainables.rows import opened_rows
from trainables.rows.bundle import OwnPart, Part
from trainables.rows.hub import NoRowsError
from trainables.rows.hub_readers import read_row, reader_of
from trainables.rows.raw_row import Reading
from trainables.scoring.groups import KINDS_WITH_IDS, half_of, keys_of, word_of

POCKET = "pocket"
CLDR = "Unicode-3.0 (CLDR)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRows:
    """Checked examples. Placeholders are not among them: `dropped` has, for each, how many examples
    stand before it. `num_mended` answers stood elsewhere than their row said; `commit` is that of
    the hub's data set ("": not from there)."""

    examples: tuple[Example, ...]
    dropped: tuple[int, ...] = ()
    num_mended: int = 0
    commit: str = ""

    @property
    def num_dropped(self) -> int:
        return len(self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsDescription:
    """What there is of one (task, language, split), for those who look before they train.

    `parts` are the splits of the hub that the rows came out of, several where they are joined;
    `own` are those of folders of one's own.
    """

    task: str
    language: str
    split: str
    dataset: str
    config: str | None
    hub_split: str | None
    revision: str | None
    commit: str
    num_rows: int
    num_dropped: int
    num_mended: int
    digest: str
    licence: str | None
    parts: tuple[Part, ...] = ()
    own: tuple[OwnPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows come from: the hub, or a folder in its layout. Read once a process.

    With `halves`, a single evaluation split is cut: one half selects (`validation`), the other
    tests. Without, both are the whole split, the benchmark's own rows.
    """

    data_root: str | None = None
    halves: bool = True

    @classmethod
    def of(cls, settings: StudySettings) -> "Rows":
        """The rows of a study: the same for all that read, check, train on or score them."""
        return cls(settings.study.data_root, settings.evaluation.halves)

    def load(self, task: str, language: str, split: str) -> LoadedRows:
        """Every row, checked against its task.

        Raises:
            NoRowsError: there are none in this language or split.
            Refusal: what is there cannot be used; where it is a row's fault, with its id.
        """
        return _load(self, task, language, split)

    def examples(self, task: str, language: str, split: str) -> tuple[Example, ...]:
        return self.load(task, language, split).examples

    def fingerprint(self, task: str, language: str, split: str) -> str:
        """A digest of the content of every row, the same wherever it was read."""
        return _fingerprint(self, task, language, split)

    def languages(self, task: str, languages: Iterable[str], split: str) -> tuple[str, ...]:
        """Those of the languages in which there are rows."""
        return tuple(code for code in languages if self._has(task, code, split))

    def commits(self, task: str, languages: Iterable[str], split: str) -> str:
        """The commits of the hub's data set that the rows were read from; one, as a rule."""
        found = {self.load(task, language, split).commit for language in languages}
        return " ".join(sorted(found - {""}))

    def describe(self, task: str, language: str, split: str) -> RowsDescription:
        entry, loaded = get_task(task), self.load(task, language, split)
        described = [entry] if not entry.parts else [get_task(part) for part in entry.parts]
        places = [place for one in described for place in _parts(one, language, split)]
        parts = tuple(place for place in places if isinstance(place, Part))
        is_pocket = entry.dataset == POCKET
        origin = entry.origin_of(language)
        return RowsDescription(
            task=task,
            language=language,
            split=split,
            dataset=origin.dataset,
            config=origin.config_of(language),
            hub_split=entry.hub_split(language, split) if parts else None,
            revision=origin.revision,
            commit=loaded.commit,
            num_rows=len(loaded.examples),
            num_dropped=loaded.num_dropped,
            num_mended=loaded.num_mended,
            digest=self.fingerprint(task, language, split),
            licence=CLDR if is_pocket else self._licence(described, language, split),
            parts=parts,
            own=tuple(place for place in places if isinstance(place, OwnPart)),
        )

    def _licence(self, entries: Sequence[Task], language: str, split: str) -> str | None:
        """Those of all the data sets, each once."""
        found = []
        for entry in entries:
            commit = self.load(entry.name, language, split).commit
            origin = entry.origin_of(language)
            found.append(opened_rows.licence(origin, language, self.data_root, commit))
        return "; ".join(dict.fromkeys(filter(None, found))) or None

    def cut_of(self, task: str, languages: Sequence[str], split: str) -> str:
        """What became of a single evaluation split, for the protocol: how it was cut, or that it
        is whole; "" where no language has one."""
        entry = get_task(task)
        single = [code for code in languages if entry.is_cut(code, split)]
        if not single:
            return ""
        those = "" if len(single) == len(languages) else f" ({' '.join(single)})"
        if self.halves:
            return f"half of {entry.splits.test} by {word_of(entry)}{those}"
        return f"whole {entry.splits.test} as validation and test{those}"

    def _has(self, task: str, language: str, split: str) -> bool:
        try:
            return bool(self.load(task, language, split).examples)
        except NoRowsError:
            return False


@lru_cache(maxsize=1024)
def _load(source: Rows, task: str, language: str, split: str) -> LoadedRows:
    entry = get_task(task)
    if language not in entry.languages and language != entry.source_language:
        raise unknown(f"language of task {task!r}", language, entry.languages)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if entry.dataset == POCKET:
        loaded = LoadedRows(examples=pocket.rows(task, language, split))
    elif entry.parts:
        loaded = _joined(entry, language, split, source)
    else:
        loaded = _read(entry, language, split, source)
    if not loaded.examples:
        raise NoRowsError(f"task {task!r} has no {split} rows in {language!r}")
    form = format_of_task(entry)
    for example in loaded.examples:
        form.check(example, entry)
    return loaded


def _joined(task: Task, language: str, split: str, source: Rows) -> LoadedRows:
    """The rows of all parts, one after the other, each under the name of its part."""
    loaded = {part: source.load(part, language, split) for part in task.parts}
    starts = accumulate((len(rows.examples) for rows in loaded.values()), initial=0)
    dropped = [
        start + place
        for start, rows in zip(starts, loaded.values(), strict=False)
        for place in rows.dropped
    ]
    return LoadedRows(
        examples=tuple(
            replace(example, id=f"{part}/{example.id}")
            for part, rows in loaded.items()
            for example in rows.examples
        ),
        dropped=tuple(dropped),
        num_mended=sum(rows.num_mended for rows in loaded.values()),
        commit=" ".join(sorted({rows.commit for rows in loaded.values()} - {""})),
    )


def _read(task: Task, language: str, split: str, source: Rows) -> LoadedRows:
    origin, hub_split = task.origin_of(language), task.hub_split(language, split)
    if hub_split is None:
        raise NoRowsError(f"task {task.name!r} has no {split} rows with labels in {language!r}")
    raw = opened_rows.raw_of(origin, language, hub_split.split("+"), source.data_root)
    reader = reader_of(task, language)
    readings = [
        read_row(content, task, language, reader=reader, place=place) for place, content in raw.rows
    ]
    if source.halves and task.is_cut(language, split):
        readings = _half(readings, task, language, split, source)
    examples: list[Example] = []
    dropped: list[int] = []
    for reading in readings:
        if reading.is_dropped:
            dropped.append(len(examples))
        if reading.example is not None:
            examples.append(reading.example)
    return LoadedRows(
        examples=tuple(examples),
        dropped=tuple(dropped),
        num_mended=sum(reading.num_mended for reading in readings),
        commit=raw.commit,
    )


def _half(
    readings: Sequence[Reading], task: Task, language: str, split: str, source: Rows
) -> list[Reading]:
    """What lies in this half; what was dropped counts in both."""
    examples = [reading.example for reading in readings if reading.example is not None]
    keys = iter(keys_of(examples, task, twins=_twins(task, language, split, source)))
    half = [one for one in readings if one.example is None or half_of(next(keys)) == split]
    if examples and not any(reading.example for reading in half):
        raise NoRowsError(
            f"task {task.name!r} has no {split} rows in {language!r}: its one evaluation split is "
            f"cut by {word_of(task)}, and all {len(examples)} rows lie in the other half"
        )
    return half


def _twins(task: Task, language: str, split: str, source: Rows) -> dict[str, str]:
    """Id -> the group of the row in the source language, whose translation has the same id: a
    paragraph lies in the same half in all languages."""
    home = task.source_language
    if language == home or not task.is_cut(home, split) or task.kind not in KINDS_WITH_IDS:
        return {}
    try:
        whole = replace(source, halves=False).examples(task.name, home, split)
    except NoRowsError:
        return {}
    return {row.id: key for row, key in zip(whole, keys_of(whole, task), strict=True)}


def _parts(task: Task, language: str, split: str) -> tuple[Part, ...] | tuple[OwnPart, ...]:
    hub_split = task.hub_split(language, split)
    if task.dataset == POCKET or hub_split is None:
        return ()
    return opened_rows.parts_of(task.origin_of(language), language, hub_split.split("+"))


@lru_cache(maxsize=1024)
def _fingerprint(source: Rows, task: str, language: str, split: str) -> str:
    digest = hashlib.sha256()
    for example in source.examples(task, language, split):
        content = asdict(example)
        content.pop("document", None)  # no model reads it
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()
