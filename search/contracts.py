"""What the rows of a study, and its tokenizer, say about it before anything is trained.

Nothing here stops a study: what cannot be used is refused where it is read. These are the things
that a reader of its scores should know, and so they are kept in the record.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from spaces.study import StudySettings
from spaces.tasks import TaskKind, get_task
from trainables.data import Data, Wanted, take
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    SpanExample,
    TaggingExample,
)
from trainables.formats.base import Features
from trainables.hub import NoRowsError
from trainables.preparing import wanted_by
from trainables.rows import POCKET, Rows

TRUNCATED_SHARE = 0.05  # of a language's rows: more are worth a word
UNKNOWN_SHARE = 0.01  # of a language's tokens
FERTILITY_RATIO = 2.0  # pieces a word, against the source language

OnDone = Callable[[int, int], None]
Places = dict[tuple[str, str], list[Wanted]]  # (task, split) -> its languages


def row_warnings(
    settings: StudySettings, rows: Rows, *, on_done: OnDone = lambda done, of: None
) -> Iterator[str]:
    """Languages without rows under the selection rule, and rows that are both trained on and
    scored. Reads every row of the study, test rows too, which are only compared.

    `on_done` gets how many of how many sources and targets were looked at.
    """
    places = _places(settings)
    for (task, split), wanted in places.items():
        codes = [one.language for one in wanted]
        there = rows.languages(task, codes, split)
        missing = " ".join(code for code in codes if code not in there)
        if missing and split == "validation":
            yield f"no validation rows of {task} in {missing}: they take no part in selection"
    sources = [
        one
        for (task, split), wanted in places.items()
        if split == "train" and get_task(task).kind is not TaskKind.MLM
        for one in wanted
    ]
    targets = [name for name in settings.space.targets if get_task(name).dataset != POCKET]
    num_places = len(sources) + len(targets)
    trained = {}
    for done, one in enumerate(sources, start=1):
        trained[one.task, one.language] = _contents(rows, one)
        on_done(done, num_places)
    for done, target in enumerate(targets, start=len(sources) + 1):
        yield from _overlaps(settings, target, trained, rows)
        on_done(done, num_places)


def token_warnings(
    settings: StudySettings,
    data: Data,
    *,
    max_rows: int | None = None,
    on_done: OnDone = lambda done, of: None,
) -> Iterator[str]:
    """What `max_length` and the tokenizer cost each language: rows that lose tokens, words in more
    pieces than the source language's, tokens that the tokenizer does not know. `max_rows` looks at
    so many rows of each at most, where the study reads more. `on_done` gets how many of how many
    splits were looked at."""
    places = _places(settings)
    for done, ((task, split), asked) in enumerate(places.items(), start=1):
        wanted = [_at_most(one, max_rows) for one in asked]
        found = {one.language: features for one in wanted if (features := _features(data, one))}
        if found:
            name, length = f"{task}, {split} rows", wanted[0].max_length
            yield from _lost(name, found, length, data)
            if get_task(task).kind is TaskKind.TAGGING and split == "validation":
                yield from _fertile(task, found)
        on_done(done, len(places))


def _lost(name: str, found: Mapping[str, Features], length: int, data: Data) -> Iterator[str]:
    """Rows that are cut, and tokens that the tokenizer does not know."""
    cut = {code: f.num_truncated / _num_rows(f) for code, f in found.items()}
    yield from _named(
        f"{name}: cut to max_length ({length} tokens) are ",
        {code: share for code, share in cut.items() if share > TRUNCATED_SHARE},
        "{:.0%}",
    )
    unknown = {code: _unknown_share(f, data) for code, f in found.items()}
    yield from _named(
        f"{name}: unknown to the tokenizer are ",
        {code: share for code, share in unknown.items() if share > UNKNOWN_SHARE},
        "{:.1%}",
    )


def _at_most(wanted: Wanted, max_rows: int | None) -> Wanted:
    limits = [limit for limit in (wanted.max_rows, max_rows) if limit is not None]
    return replace(wanted, max_rows=min(limits, default=None))


def _fertile(task: str, found: Mapping[str, Features]) -> Iterator[str]:
    """Pieces a word (Rust et al. 2021), where they are far more than in the source language."""
    pieces = {code: _fertility(features) for code, features in found.items()}
    source = pieces.get(get_task(task).source_language)
    if source is not None:
        yield from _named(
            f"{task}: pieces a word, {source:.1f} in {get_task(task).source_language}, are ",
            {code: count for code, count in pieces.items() if count > FERTILITY_RATIO * source},
            "{:.1f}",
        )


def _named(text: str, found: Mapping[str, float], form: str) -> Iterator[str]:
    """One line for all languages, the worst first."""
    if found:
        order = sorted(found.items(), key=lambda item: -item[1])
        yield text + ", ".join(f"{form.format(value)} in {code}" for code, value in order)


def _places(settings: StudySettings) -> Places:
    """Not those of the embedded benchmark, which is made to have none of these troubles."""
    places: Places = defaultdict(list)
    for wanted in wanted_by(settings):
        if get_task(wanted.task).dataset != POCKET:
            places[wanted.task, wanted.split].append(wanted)
    return dict(places)


def _overlaps(
    settings: StudySettings,
    target: str,
    trained: Mapping[tuple[str, str], frozenset[Any]],
    rows: Rows,
) -> Iterator[str]:
    for split in ("validation", "test"):
        found: dict[str, dict[str, list[str]]] = defaultdict(dict)  # source -> language -> row ids
        for language in settings.languages_of(target):
            for (task, trained_in), contents in trained.items():
                examples = _there(rows, target, language, split)
                ids = [row.id for row in examples if content_of(row) in contents]
                if ids:
                    found[f"{task}@{trained_in}"][language] = ids
        for source, by_language in found.items():
            counts = ", ".join(f"{len(ids)} in {code}" for code, ids in by_language.items())
            first = next(iter(by_language.values()))[0]
            yield (
                f"{split} rows of {target} are training rows of {source} too: {counts} (the first "
                f"is row {first!r})"
            )


def content_of(example: Example) -> Any:
    """What makes two rows the same, whatever their ids and labels are."""
    if isinstance(example, PairExample):
        return (example.text_a, example.text_b)
    if isinstance(example, ChoiceExample):
        return (example.text, example.choices)
    if isinstance(example, SpanExample):
        return (example.question, example.context)
    if isinstance(example, TaggingExample):
        return example.words
    return None


def _contents(rows: Rows, wanted: Wanted) -> frozenset[Any]:
    examples = _there(rows, wanted.task, wanted.language, wanted.split)
    return frozenset(content_of(row) for row in take(list(examples), wanted.max_rows)) - {None}


def _there(rows: Rows, task: str, language: str, split: str) -> Iterable[Example]:
    try:
        return rows.examples(task, language, split)
    except NoRowsError:
        return ()


def _features(data: Data, wanted: Wanted) -> Features | None:
    try:
        found = data.features(
            wanted.task,
            wanted.language,
            wanted.split,
            max_rows=wanted.max_rows,
            max_length=wanted.max_length,
        )
    except NoRowsError:
        return None
    return found if len(found) else None


def _num_rows(features: Features) -> int:
    return int(features.example[-1]) + 1


def _unknown_share(features: Features, data: Data) -> float:
    unknown = data.base.tokenizer.unk_token_id
    return 0.0 if unknown is None else float(np.mean(features.input_ids.values == unknown))


def _fertility(features: Features) -> float:
    """Pieces without the special tokens at both ends of a sequence, a word."""
    num_words = int((features.origins.values >= 0).sum())
    return (len(features.input_ids.values) - 2 * len(features)) / max(1, num_words)
