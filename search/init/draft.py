"""What a new study file says: the task that the rows are, and sizes that fit their number."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.init.guess import Guess, guess_task
from search.init.row_folder import RowFolder
from search.init.table import Row
from spaces.languages import get_language
from spaces.refusal import Refusal, shown, unknown
from spaces.study_file.task_sections import TAKEN
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Origin
from spaces.tasks.task import METRICS, TaskKind
from trainables.row_files.columns import with_our_columns

SAMPLE = 1000  # rows, at most, of each language and split from which the kind is guessed
BATCH_SIZE = 32
LABELLED = (TaskKind.CLASSIFICATION, TaskKind.TAGGING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDraft:
    """The task that the rows of a folder are.

    `columns` and `label_names` have only what differs from the kind's own names. `source` is the
    language to train in, `unread` are columns of texts that the task does not read.
    """

    kind: TaskKind
    is_pair: bool
    languages: tuple[str, ...]
    source: str
    labels: tuple[str, ...]
    metric: str
    chance: float | None
    unread: tuple[str, ...]
    columns: Mapping[str, str]
    label_names: Mapping[str, str]
    configs: Mapping[str, str]
    splits: Mapping[str, str]
    header: bool
    single_split: tuple[str, ...]
    may_be_unanswerable: bool
    train_rows: Mapping[str, int]
    max_length: int
    warnings: tuple[str, ...] = field(default=())

    @property
    def num_train_rows(self) -> int:
        """Training rows in the source language."""
        return self.train_rows.get(self.source, 0)

    @property
    def num_steps(self) -> int:
        """Steps of training: three passes over the rows, ten where there are few."""
        passes = 3 if self.num_train_rows >= 3000 else 10
        return max(30, min(5000, math.ceil(passes * self.num_train_rows / BATCH_SIZE)))


def draft_task(
    folder: RowFolder, *, kind: TaskKind | None = None, source: str | None = None
) -> TaskDraft:
    """The task that the rows are.

    Args:
        kind: the kind, where it is known.
        source: the language to train in; default: English, else the language with most training
            rows.

    Raises:
        Refusal: the kind cannot be guessed; there are no rows to train on, or none in a second
            language to score.
    """
    # Not the first rows: files are often sorted by label.
    sample = [row for rows in folder.rows.values() for row in rows[:: len(rows) // SAMPLE + 1]]
    guess = guess_task(sample, kind)
    chosen = _source(folder, guess.kind, source)
    others = sorted(code for code in folder.languages if code != chosen)
    if guess.kind is TaskKind.MLM:
        others = [code for code in others if folder.num_rows(code, "train")]
    else:
        _check_scored(folder, [code for code in others if _evaluated(folder, code)])
    languages = tuple(others) if guess.kind is TaskKind.RETRIEVAL else (chosen, *others)
    rows = list(_ours(folder, guess))
    labels = _labels(rows, guess.kind) if guess.kind in LABELLED else ()
    counts = Counter(len(row.get("choices") or ()) for row in rows)
    is_renamed = any(code != name for code, name in folder.folders.items())
    is_tagging = guess.kind is TaskKind.TAGGING
    has_spans = any(label.startswith(("B-", "I-")) for label in labels)
    return TaskDraft(
        kind=guess.kind,
        is_pair=guess.is_pair,
        languages=languages,
        source=chosen,
        labels=labels,
        metric=METRICS[guess.kind][0] if has_spans or not is_tagging else "accuracy",
        chance=1 / max(counts) if guess.kind is TaskKind.CHOICE else None,
        unread=() if is_tagging else guess.unread,
        columns={ours: theirs for ours, theirs in guess.columns.items() if ours != theirs},
        label_names=guess.label_names,
        configs={code: folder.folders[code] for code in languages} if is_renamed else {},
        splits={split: name for split, name in folder.splits.items() if split != name},
        header=folder.header,
        single_split=tuple(code for code in languages if _has_test_alone(folder, code)),
        may_be_unanswerable=guess.kind is TaskKind.SPAN and any(map(_has_no_answer, rows)),
        train_rows={code: folder.num_rows(code, "train") for code in languages},
        max_length=_max_length(rows, guess, languages),
        warnings=tuple(_warnings(folder, guess, languages)),
    )


def _source(folder: RowFolder, kind: TaskKind, given: str | None) -> str:
    trained = {code: folder.num_rows(code, "train") for code in folder.languages}
    trained = {code: count for code, count in trained.items() if count}
    if kind is TaskKind.RETRIEVAL:
        return "en"
    if not trained:
        raise Refusal(
            f"folder {str(folder.path)!r} has no rows to train on; expected LANGUAGE/train in at "
            f"least one language; it has {', '.join(folder.splits.values())}"
        )
    if given is not None:
        if given not in trained:
            raise unknown("language with training rows", given, trained)
        return given
    return "en" if "en" in trained else max(trained, key=lambda code: trained[code])


def _evaluated(folder: RowFolder, code: str) -> int:
    return folder.num_rows(code, "validation") + folder.num_rows(code, "test")


def _has_test_alone(folder: RowFolder, code: str) -> bool:
    return bool(folder.num_rows(code, "test")) and not folder.num_rows(code, "validation")


def _check_scored(folder: RowFolder, scored: Sequence[str]) -> None:
    if not scored:
        raise Refusal(
            f"folder {str(folder.path)!r} has no validation or test rows in a second language; a "
            "search trains in one language and is scored in others"
        )


def _ours(folder: RowFolder, guess: Guess) -> Iterator[dict[str, Any]]:
    """All rows with our columns and labels."""
    origin = Origin(
        dataset="",
        languages=(),
        columns=tuple(guess.columns.items()),
        label_names=tuple(guess.label_names.items()),
    )
    for rows in folder.rows.values():
        for row in rows:
            yield with_our_columns(row, origin)


def _labels(rows: Sequence[Row], kind: TaskKind) -> tuple[str, ...]:
    """All labels: numbers by their size, `O` first, others by the alphabet."""
    found: set[str] = set()
    for row in rows:
        value = row.get("label" if kind is TaskKind.CLASSIFICATION else "tags")
        items = value.split() if isinstance(value, str) and kind is TaskKind.TAGGING else [value]
        items = value if isinstance(value, list) else items
        found |= {str(item) for item in items if item not in (None, "", -1)}
    if all(re.fullmatch(r"-?\d+", label) for label in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found, key=lambda label: (label != "O", label)))


def _has_no_answer(row: Row) -> bool:
    answers = row.get("answers")
    return not (answers.get("text") if isinstance(answers, Mapping) else row.get("answer"))


def _max_length(rows: Sequence[Row], guess: Guess, languages: Sequence[str]) -> int:
    """Tokens of a row, by its characters: enough for nineteen rows of twenty, as a multiple of 32
    from 32 to 256 (384 for questions on a text)."""
    has_spaces = all(get_language(code).has_spaces for code in languages)
    texts = [column for column in guess.columns if column not in ("label", "tags", "answers")]
    lengths = sorted(sum(_length(row.get(column), column) for column in texts) for row in rows)
    tokens = lengths[len(lengths) * 19 // 20] / (3 if has_spaces else 1.5) + 8
    most = 384 if guess.kind is TaskKind.SPAN else 256
    return max(32, min(most, math.ceil(tokens / 32) * 32))


def _length(value: Any, column: str) -> int:
    """Characters that are read together: of choices the longest one."""
    if isinstance(value, str):
        return len(value)
    lengths = [len(str(item)) + 1 for item in value] if isinstance(value, list) else [0]
    return max(lengths, default=0) if column == "choices" else sum(lengths)


def _warnings(folder: RowFolder, guess: Guess, languages: Sequence[str]) -> Iterator[str]:
    if guess.kind is TaskKind.MLM:
        return
    without = [code for code in languages if not folder.num_rows(code, "test")]
    if without:
        yield f"no test rows in {' '.join(without)}: `retrain` will not score these languages"
    few = [code for code in languages if 0 < _evaluated(folder, code) < 200]
    if few:
        yield (
            f"fewer than 200 rows to score in {' '.join(few)}: no difference of a few points will "
            "be significant"
        )


def task_name(rows: str, study: str) -> str:
    """The name of the task: that of the folder of rows, or of the study where that says nothing."""
    for name in (rows, study):
        plain = re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-_0123456789")
        if plain and plain not in ("rows", "data", "dataset"):
            is_taken = plain in SHIPPED or plain in TAKEN
            return f"own-{plain}" if is_taken else plain
    raise Refusal(f"no name for the task in {shown(rows)} and {shown(study)}; give one by --name")
