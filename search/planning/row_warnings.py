"""Finds problems in the rows and the tokenizer of a study before anything is trained.

Nothing here stops a study: rows that cannot be used are refused where they are read. A reader of
the scores should know these problems, so they are stored in the record.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spaces.study_file.study import StudySettings
from spaces.tasks.task import Task, TaskKind
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

# A warning is given above these limits.
TRUNCATED_SHARE = 0.05  # share of a language's rows that are truncated
UNKNOWN_SHARE = 0.01  # share of a language's tokens that the tokenizer does not know
FERTILITY_RATIO = 2.0  # pieces per word, divided by the source language's pieces per word

OnDone = Callable[[int, int], None]
Places = dict[tuple[Task, str], list[RowsToEncode]]  # (task, split) -> its languages
Trained = dict[tuple[Task, str], frozenset[bytes]]  # (task, language) -> digests of its rows


def row_warnings(
    settings: StudySettings, rows: Rows, *, on_done: OnDone = lambda done, total: None
) -> Iterator[str]:
    """Yield warnings about the rows of a study.

    The warnings name languages without rows under the selection rule, rows that are both trained on
    and scored, and scored rows with a sentence that is part of the masked text. Every row of the
    study is read. Test rows are only compared with training rows.

    Args:
        settings: settings of the study.
        rows: reader of the rows.
        on_done: called with the number of sources and targets read so far, and the total.
    """
    splits = _places(settings)
    for (task, split), wanted in splits.items():
        codes = [read.language for read in wanted]
        available = rows.languages(task, codes, split)
        missing = " ".join(code for code in codes if code not in available)
        if missing and split == "validation":
            yield (
                f"{task} has no validation rows in {missing}; these languages take no part in "
                "selection"
            )
    sources = [read for (_, split), wanted in splits.items() if split == "train" for read in wanted]
    targets = [target for target in settings.targets if target.dataset != POCKET]
    total = len(sources) + len(targets)
    trained: Trained = {}
    for done, source in enumerate(sources, start=1):
        trained[source.task, source.language] = _contents(rows, source)
        on_done(done, total)
    for done, target in enumerate(targets, start=len(sources) + 1):
        yield from _overlaps(settings, target, trained, rows)
        on_done(done, total)


def token_warnings(
    settings: StudySettings,
    data: Data,
    *,
    max_rows: int | None = None,
    on_done: OnDone = lambda done, total: None,
) -> Iterator[str]:
    """Yield warnings about what `max_length` and the tokenizer cost each language.

    The warnings name the share of truncated rows, the share of tokens that the tokenizer does not
    know, and languages whose words have many more pieces than those of the source language.

    Args:
        settings: settings of the study.
        data: rows and encoder of the study.
        max_rows: largest number of rows to read of each language and split; None for all that the
            study reads.
        on_done: called with the number of splits read so far, and the total.
    """
    splits = _places(settings)
    for done, ((task, split), reads) in enumerate(splits.items(), start=1):
        wanted = [_at_most(read, max_rows) for read in reads]
        by_language = {
            read.language: features for read in wanted if (features := _features(data, read))
        }
        if by_language:
            name, length = f"{task}, {split} rows", wanted[0].max_length
            yield from _lost(name, by_language, length, data)
            if task.kind is TaskKind.TAGGING and split == "validation":
                yield from _fertile(task, by_language)
        on_done(done, len(splits))


def _lost(name: str, found: Mapping[str, Features], length: int, data: Data) -> Iterator[str]:
    """Yield warnings about truncated rows and about tokens that the tokenizer does not know."""
    cut = {code: f.num_truncated / _num_rows(f) for code, f in found.items()}
    yield from _named(
        f"{name}: rows truncated to max_length ({length} tokens): ",
        {code: share for code, share in cut.items() if share > TRUNCATED_SHARE},
        "{:.0%}",
    )
    unknown = {code: _unknown_share(f, data) for code, f in found.items()}
    yield from _named(
        f"{name}: tokens that the tokenizer does not know: ",
        {code: share for code, share in unknown.items() if share > UNKNOWN_SHARE},
        "{:.1%}",
    )


def _at_most(wanted: RowsToEncode, max_rows: int | None) -> RowsToEncode:
    limits = [limit for limit in (wanted.max_rows, max_rows) if limit is not None]
    return replace(wanted, max_rows=min(limits, default=None))


def _fertile(task: Task, found: Mapping[str, Features]) -> Iterator[str]:
    """Yield a warning if words have many more pieces than in the source language (Rust et al.
    2021)."""
    pieces = {code: _fertility(features) for code, features in found.items()}
    source = pieces.get(task.source_language)
    if source is not None:
        yield from _named(
            f"{task}: pieces per word ({source:.1f} in {task.source_language}): ",
            {code: count for code, count in pieces.items() if count > FERTILITY_RATIO * source},
            "{:.1f}",
        )


def _named(text: str, found: Mapping[str, float], form: str) -> Iterator[str]:
    """Yield one line for all languages, the worst first; nothing if there are none."""
    if found:
        order = sorted(found.items(), key=lambda item: -item[1])
        yield text + ", ".join(f"{form.format(value)} in {code}" for code, value in order)


def _places(settings: StudySettings) -> Places:
    """Return the rows that the study reads, without those of the embedded benchmark, which has none
    of these problems."""
    splits: Places = defaultdict(list)
    for wanted in wanted_by(settings):
        if wanted.task.dataset != POCKET:
            splits[wanted.task, wanted.split].append(wanted)
    return dict(splits)


def _overlaps(settings: StudySettings, target: Task, trained: Trained, rows: Rows) -> Iterator[str]:
    """Yield a warning for each source that contains scored rows of a target."""
    masked = {source for source in trained if source[0].kind is TaskKind.MLM}
    for split in ("validation", "test"):
        # (task, language) of a source -> language of the target -> ids of the rows in both
        overlaps: dict[tuple[Task, str], dict[str, list[str]]] = defaultdict(dict)
        for language in settings.languages_of(target):
            digests_by_row = [
                (row.id, _marks_of(row, target) | (sentences_of(row) if masked else frozenset()))
                for row in _there(rows, target, language, split)
            ]
            for source, contents in trained.items():
                ids = [row for row, digests in digests_by_row if not digests.isdisjoint(contents)]
                if ids:
                    overlaps[source][language] = ids
        for source, by_language in overlaps.items():
            counts = ", ".join(f"{len(ids)} in {code}" for code, ids in by_language.items())
            first, name = next(iter(by_language.values()))[0], "@".join(map(str, source))
            is_text = source in masked
            kind = f"occur in the text of {name}" if is_text else f"are training rows of {name}"
            yield f"{split} rows of {target} also {kind}: {counts} (the first is row {first!r})"


def content_of(example: Example, task: Task) -> tuple[str, ...]:
    """Return a value that is equal for two rows with the same content.

    Content is the texts of a row, whatever its id and label. Letter case and white space do not
    count, nor does the order of a pair if the task is symmetric.
    """
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
    normal_texts = [normal_form(text) for text in texts]
    if task.is_symmetric:
        normal_texts.sort()
    return (type(example).__name__, *normal_texts)


def sentences_of(example: Example) -> frozenset[bytes]:
    """Return digests of the texts of a row that may occur in masked text.

    All white space is removed, because words to tag are separated from their punctuation.
    """
    texts: tuple[str | None, ...]
    match example:
        case PairExample():
            texts = (example.text_a, example.text_b)
        case ChoiceExample() | SentenceExample():
            texts = (example.text,)
        case SpanExample():
            texts = (example.context,)
        case TaggingExample():
            texts = ("".join(example.words),)
        case RetrievalExample():
            texts = (example.text, example.pivot)
        case TextExample():
            texts = (example.text, example.pair)
    return frozenset(_digest(normal_form(text).replace(" ", "")) for text in texts if text)


def _contents(rows: Rows, wanted: RowsToEncode) -> frozenset[bytes]:
    """Return digests of the training rows, or of the sentences of masked text."""
    task = wanted.task
    available = list(_there(rows, task, wanted.language, wanted.split))
    examples = take(available, wanted.max_rows)
    if task.kind is TaskKind.MLM:
        return frozenset(sentence for row in examples for sentence in sentences_of(row))
    return frozenset(digest for row in examples for digest in _marks_of(row, task))


def _marks_of(example: Example, task: Task) -> frozenset[bytes]:
    """Return the digest of a row's content, as a set of one."""
    return frozenset({_digest("\0".join(content_of(example, task)))})


def _digest(text: str) -> bytes:
    """Return a short digest, since some tasks have a million rows."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _there(rows: Rows, task: Task, language: str, split: str) -> Iterable[Example]:
    try:
        return rows.examples(task, language, split)
    except NoRowsError:
        return ()


def _features(data: Data, wanted: RowsToEncode) -> Features | None:
    try:
        features = data.features(
            wanted.task,
            wanted.language,
            wanted.split,
            max_rows=wanted.max_rows,
            max_length=wanted.max_length,
        )
    except NoRowsError:
        return None
    return features if len(features) else None


def _num_rows(features: Features) -> int:
    return int(features.example[-1]) + 1


def _unknown_share(features: Features, data: Data) -> float:
    unknown = data.base.tokenizer.unk_token_id
    return 0.0 if unknown is None else float(np.mean(features.input_ids.values == unknown))


def _fertility(features: Features) -> float:
    """Return pieces per word, without the special tokens at both ends of a sequence."""
    num_words = int((features.origins.values >= 0).sum())
    return (len(features.input_ids.values) - 2 * len(features)) / max(1, num_words)
