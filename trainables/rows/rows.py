"""Rows: the examples of (task, language, split) from any source, and their digests."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import accumulate

from spaces.refusal import Refusal, unknown
from spaces.study_file.study import StudySettings
from spaces.tasks.origin import Layout
from spaces.tasks.task import SPLITS, Task
from trainables.examples import Example
from trainables.formats.base import RowError
from trainables.formats.kinds import format_of_task
from trainables.pocket import rows as pocket
from trainables.rows import origin_rows, xtreme_files
from trainables.rows.bundle import OwnPart, Part
from trainables.rows.folders import own_root
from trainables.rows.hub import NoRowsError
from trainables.rows.hub_readers import read_row, reader_of
from trainables.rows.older_stages import modern
from trainables.rows.reading import Reading
from trainables.scoring.groups import KINDS_WITH_IDS, group_names, half_of, unit_of_cut

POCKET = "pocket"
CLDR = "Unicode-3.0 (CLDR)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRows:
    """Checked examples. Rows without content (placeholders) are dropped: `dropped` has, for each,
    the number of examples before it. `num_mended` answers were at another offset than their row
    said. `commit` is that of the hub's data set, "" for other sources."""

    examples: tuple[Example, ...]
    dropped: tuple[int, ...] = ()
    num_mended: int = 0
    commit: str = ""

    @property
    def num_dropped(self) -> int:
        return len(self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsDescription:
    """The rows of one (task, language, split), described for users before training.

    `parts` are the splits of the hub that the rows come from, several where they are joined.
    `own_parts` are those of folders of your own.
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
    own_parts: tuple[OwnPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The source of rows: the hub, or a folder in its layout. Rows are read once per process.

    With `halves`, a single evaluation split is cut: one half selects (`validation`), the other
    tests. Without `halves` both are the whole split, the rows of the benchmark.

    Without `older_stages` the hub's rows of udpos in some languages lose those of an older stage of
    the language (`older_stages.py`).

    Own rows are read below the data root, or below `rows_folder` where that does not have them.

    `xtreme` is the folder that XTREME's download script wrote. Where it has test rows of a task in
    a language, these are read. They have no labels: the first label of the task stands in for them,
    and they can be answered but not scored.
    """

    data_root: str | None = None
    halves: bool = True
    older_stages: bool = True
    xtreme: str | None = None
    rows_folder: str | None = None

    @classmethod
    def of(cls, settings: StudySettings) -> "Rows":
        """The rows of a study, equal for everything that reads, checks, trains on or scores
        them."""
        evaluation = settings.evaluation
        return cls(
            settings.study.data_root,
            evaluation.halves,
            evaluation.older_stages,
            rows_folder=settings.study.rows_folder,
        )

    def load(self, task: Task, language: str, split: str) -> LoadedRows:
        """Every row, checked against its task.

        Raises:
            NoRowsError: there are none in this language or split.
            Refusal: the rows cannot be used; for a broken row it names the row's id.
        """
        return _load(self, task, language, split)

    def examples(self, task: Task, language: str, split: str) -> tuple[Example, ...]:
        """The examples of `load`. Raises as `load` does."""
        return self.load(task, language, split).examples

    def fingerprint(self, task: Task, language: str, split: str) -> str:
        """A SHA-256 digest of the content of every row; it does not depend on where the rows were
        read."""
        return _fingerprint(self, task, language, split)

    def languages(self, task: Task, languages: Iterable[str], split: str) -> tuple[str, ...]:
        """The languages in `languages` that have rows."""
        return tuple(code for code in languages if self._has_rows(task, code, split))

    def commits(self, task: Task, languages: Iterable[str], split: str) -> str:
        """The commits of the hub's data set that the rows were read from; usually one."""
        commits = {self.load(task, language, split).commit for language in languages}
        return " ".join(sorted(commits - {""}))

    def describe(self, task: Task, language: str, split: str) -> RowsDescription:
        """The description of the rows of one (task, language, split). Raises as `load` does."""
        loaded = self.load(task, language, split)
        tasks = task.parts or (task,)
        all_parts = [part for member in tasks for part in _parts(member, language, split)]
        parts = tuple(part for part in all_parts if isinstance(part, Part))
        is_pocket = task.dataset == POCKET
        origin = task.origin_of(language)
        return RowsDescription(
            task=task.name,
            language=language,
            split=split,
            dataset=origin.dataset,
            config=origin.config_of(language),
            hub_split=task.hub_split(language, split) if parts else None,
            revision=origin.revision,
            commit=loaded.commit,
            num_rows=len(loaded.examples),
            num_dropped=loaded.num_dropped,
            num_mended=loaded.num_mended,
            digest=self.fingerprint(task, language, split),
            licence=CLDR if is_pocket else self._licence(tasks, language, split),
            parts=parts,
            own_parts=tuple(part for part in all_parts if isinstance(part, OwnPart)),
        )

    def _licence(self, entries: Sequence[Task], language: str, split: str) -> str | None:
        """The licences of all the data sets, each once."""
        licences = []
        for entry in entries:
            commit = self.load(entry, language, split).commit
            origin = entry.origin_of(language)
            licences.append(origin_rows.licence(origin, language, self.data_root, commit))
        return "; ".join(dict.fromkeys(filter(None, licences))) or None

    def describe_cut(self, task: Task, languages: Sequence[str], split: str) -> str:
        """How a single evaluation split is used, for the protocol: cut by what, or whole; "" where
        no language has one."""
        single = [code for code in languages if task.is_cut(code, split)]
        if not single:
            return ""
        named = "" if len(single) == len(languages) else f" ({' '.join(single)})"
        if self.halves:
            return f"half of {task.splits.test} by {unit_of_cut(task)}{named}"
        return f"whole {task.splits.test} as validation and test{named}"

    def _has_rows(self, task: Task, language: str, split: str) -> bool:
        try:
            return bool(self.load(task, language, split).examples)
        except NoRowsError:
            return False


@lru_cache(maxsize=1024)
def _load(source: Rows, task: Task, language: str, split: str) -> LoadedRows:
    if language not in task.languages and language != task.source_language:
        raise unknown(f"language of task {task.name!r}", language, task.languages)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if task.dataset == POCKET:
        loaded = LoadedRows(examples=pocket.rows(task.name, language, split))
    elif task.parts:
        loaded = _joined(task, language, split, source)
    else:
        with _naming(task, language, split):
            loaded = _read(task, language, split, source)
    if not loaded.examples:
        raise NoRowsError(f"task {task.name!r} has no {split} rows in {language!r}")
    task_format = format_of_task(task)
    with _naming(task, language, split):
        for example in loaded.examples:
            task_format.check(example, task)
    return loaded


@contextmanager
def _naming(task: Task, language: str, split: str) -> Iterator[None]:
    """Adds the language and split to the refusal of a row of your own: translations may share their
    ids."""
    try:
        yield
    except RowError as error:
        if task.origin_of(language).layout is not Layout.ROWS:
            raise
        raise Refusal(f"{language} {split}, {error}") from error


def _joined(task: Task, language: str, split: str, source: Rows) -> LoadedRows:
    """The rows of all parts, one part after the other. Each id gets the name of its part."""
    loaded = {part: source.load(part, language, split) for part in task.parts}
    starts = accumulate((len(rows.examples) for rows in loaded.values()), initial=0)
    dropped = [
        start + index
        for start, rows in zip(starts, loaded.values(), strict=False)
        for index in rows.dropped
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


def _raw(task: Task, language: str, split: str, source: Rows) -> origin_rows.OriginRows:
    if source.xtreme is not None and split == "test":
        theirs = xtreme_files.find_test_rows(task, language, source.xtreme)
        if theirs is not None:
            raw = origin_rows.read_origin(theirs, language, [split], source.data_root)
            filled = [(name, xtreme_files.with_stand_ins(row, task)) for name, row in raw.rows]
            return replace(raw, rows=filled)
    hub_split = task.hub_split(language, split)
    if hub_split is None:
        raise NoRowsError(f"task {task.name!r} has no {split} rows with labels in {language!r}")
    origin = task.origin_of(language)
    root = own_root(origin, source.data_root, source.rows_folder)
    raw = origin_rows.read_origin(origin, language, hub_split.split("+"), root)
    if source.older_stages:
        return raw
    return replace(raw, rows=modern(raw.rows, task, language, split))


def _read(task: Task, language: str, split: str, source: Rows) -> LoadedRows:
    raw = _raw(task, language, split, source)
    reader = reader_of(task, language)
    readings = [
        Reading(None, is_dropped=True)
        if xtreme_files.is_empty(content)
        else read_row(content, task, language, reader=reader, fallback_id=fallback_id)
        for fallback_id, content in raw.rows
    ]
    if task.origin_of(language).layout is Layout.ROWS:
        _refuse_equal_ids([name for name, _ in raw.rows], readings, task)
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


def _refuse_equal_ids(names: Sequence[str], readings: Sequence[Reading], task: Task) -> None:
    """Raises RowError where two rows of your own have one id. Data sets of the hub may repeat an
    id: a sentence of BUCC's pairs has one row for each of its translations."""
    first: dict[str, str] = {}
    for name, reading in zip(names, readings, strict=True):
        if reading.example is None:
            continue
        earlier = first.setdefault(reading.example.id, name)
        if earlier != name:
            raise RowError(
                task,
                reading.example.id,
                f"its id belongs to {earlier} and to {name} (counted from 0); expected one id per "
                "row of a split: change one, or leave the ids out",
            )


def _half(
    readings: Sequence[Reading], task: Task, language: str, split: str, source: Rows
) -> list[Reading]:
    """The rows of this half. Dropped rows are kept in both."""
    examples = [reading.example for reading in readings if reading.example is not None]
    keys = iter(group_names(examples, task, twins=_twins(task, language, split, source)))
    half = [r for r in readings if r.example is None or half_of(next(keys)) == split]
    if examples and not any(reading.example for reading in half):
        raise NoRowsError(
            f"task {task.name!r} has no {split} rows in {language!r}: its only evaluation split "
            f"is cut by {unit_of_cut(task)}, and all {len(examples)} rows are in the other half"
        )
    return half


def _twins(task: Task, language: str, split: str, source: Rows) -> dict[str, str]:
    """The group of the source-language row of each id. A translation has the id of its source row,
    so a paragraph falls into the same half in all languages."""
    source_language = task.source_language
    if (
        language == source_language
        or not task.is_cut(source_language, split)
        or task.kind not in KINDS_WITH_IDS
    ):
        return {}
    try:
        whole = replace(source, halves=False).examples(task, source_language, split)
    except NoRowsError:
        return {}
    return {row.id: key for row, key in zip(whole, group_names(whole, task), strict=True)}


def _parts(task: Task, language: str, split: str) -> tuple[Part, ...] | tuple[OwnPart, ...]:
    hub_split = task.hub_split(language, split)
    if task.dataset == POCKET or hub_split is None:
        return ()
    return origin_rows.parts_of_origin(task.origin_of(language), language, hub_split.split("+"))


@lru_cache(maxsize=1024)
def _fingerprint(source: Rows, task: Task, language: str, split: str) -> str:
    digest = hashlib.sha256()
    for example in source.examples(task, language, split):
        content = asdict(example)
        content.pop("document", None)  # no model reads it
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()
