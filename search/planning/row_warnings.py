"""What the rows of a study, and its tokenizer, say about it before anything is trained.

Nothing here stops a study: what cannot be used is refused where it is read. These are the things
that a reader of its scores should know, and so they are kept in the record.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spaces.study import StudySettings
from spaces.task_catalog import Task, TaskKind, get_task
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.features.features import Data, RowsToEncode, take
from trainables.features.prepare import wanted_by
from trainables.formats.base import Features
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import POCKET, Rows
from trainables.scoring.groups import normal_form

TRUNCATED_SHARE = 0.05  # of a language's rows: more are worth a word
UNKNOWN_SHARE = 0.01  # of a language's tokens
FERTILITY_RATIO = 2.0  # pieces a word, against the source language

OnDone = Callable[[int, int], None]
Places = dict[tuple[str, str], list[RowsToEncode]]  # (task, split) -> its languages
Trained = dict[tuple[str, str], frozenset[bytes]]  # (task, language) -> digests of what it holds


def row_warnings(
    settings: StudySettings, rows: Rows, *, on_done: OnDone = lambda done, of: None
) -> Iterator[str]:
    """Languages without rows under the selection rule, and rows that are both trained on and
    scored, or of which a sentence stands in the masked text. Reads every row of the study, test
    rows too, which are only compared.

    `on_done` gets how many of how many sources and targets were looked at.
    """
    places = _places(settings)
    for (task, split), wanted in places.items():
        codes = [one.language for one in wanted]
        there = rows.languages(task, codes, split)
        missing = " ".join(code for code in codes if code not in there)
        if missing and split == "validation":
            yield f"no validation rows of {task} in {missing}: they take no part in selection"
    sources = [one for (_, split), wanted in places.items() if split == "train" for one in wanted]
    targets = [name for name in settings.space.targets if get_task(name).dataset != POCKET]
    num_places = len(sources) + len(targets)
    trained: Trained = {}
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


def _at_most(wanted: RowsToEncode, max_rows: int | None) -> RowsToEncode:
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


def _overlaps(settings: StudySettings, target: str, trained: Trained, rows: Rows) -> Iterator[str]:
    entry = get_task(target)
    masked = {place for place in trained if get_task(place[0]).kind is TaskKind.MLM}
    for split in ("validation", "test"):
        found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(dict)
        for language in settings.languages_of(target):
            marks = [
                (row.id, _marks_of(row, entry) | (sentences_of(row) if masked else frozenset()))
                for row in _there(rows, target, language, split)
            ]
            for place, contents in trained.items():
                ids = [name for name, own in marks if not own.isdisjoint(contents)]
                if ids:
                    found[place][language] = ids
        for place, by_language in found.items():
            counts = ", ".join(f"{len(ids)} in {code}" for code, ids in by_language.items())
            first, name = next(iter(by_language.values()))[0], "@".join(place)
            is_text = place in masked
            what = f"stand in the text of {name}" if is_text else f"are training rows of {name}"
            yield f"{split} rows of {target} {what} too: {counts} (the first is row {first!r})"


def content_of(example: Example, task: Task) -> tuple[str, ...]:
    """What makes two rows of a kind the same, whatever their ids and labels are: their texts, in
    any letter case and with any white space; of a pair whose order says nothing, in any order."""
    texts: Iterable[str]
    match example:
        case PairExample():
            texts = (example.text_a, example.text_b or "")
        case ChoiceExample():
            texts = (example.text, *sorted(example.choices))
        case SpanExample():
            texts = (example.question, example.context)
        case TaggingExample():
            texts = example.words
        case RetrievalExample():
            texts = (example.text, example.pivot)
        case TextExample():
            texts = (example.text, example.pair or "")
        case SentenceExample():
            texts = (example.text,)
    found = [normal_form(text) for text in texts]
    return (type(example).__name__, *(sorted(found) if task.is_symmetric else found))


def sentences_of(example: Example) -> frozenset[bytes]:
    """Digests of the texts of a row that may stand in masked text, without any white space: words
    to tag stand apart from their punctuation."""
    found: tuple[str | None, ...]
    match example:
        case PairExample():
            found = (example.text_a, example.text_b)
        case ChoiceExample() | SentenceExample():
            found = (example.text,)
        case SpanExample():
            found = (example.context,)
        case TaggingExample():
            found = ("".join(example.words),)
        case RetrievalExample():
            found = (example.text, example.pivot)
        case TextExample():
            found = (example.text, example.pair)
    return frozenset(_digest(normal_form(text).replace(" ", "")) for text in found if text)


def _contents(rows: Rows, wanted: RowsToEncode) -> frozenset[bytes]:
    """Digests of all that is trained on there: rows, or the sentences of masked text."""
    task = get_task(wanted.task)
    there = list(_there(rows, wanted.task, wanted.language, wanted.split))
    examples = take(there, wanted.max_rows)
    if task.kind is TaskKind.MLM:
        return frozenset(sentence for row in examples for sentence in sentences_of(row))
    return frozenset(mark for row in examples for mark in _marks_of(row, task))


def _marks_of(example: Example, task: Task) -> frozenset[bytes]:
    return frozenset({_digest("\0".join(content_of(example, task)))})


def _digest(text: str) -> bytes:
    """Small, since there are a million rows of some tasks."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _there(rows: Rows, task: str, language: str, split: str) -> Iterable[Example]:
    try:
        return rows.examples(task, language, split)
    except NoRowsError:
        return ()


def _features(data: Data, wanted: RowsToEncode) -> Features | None:
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
