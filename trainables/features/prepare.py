"""prepare: tokenise every row that a study reads, in parallel, before its first trial."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from spaces.phases import Recipe
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.tasks.source import Source
from trainables.features.features import Data, RowsToEncode, encode_rows, read_features, splits_read
from trainables.quiet import quiet_libraries
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import POCKET, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The result for one (task, language, split). `num_rows` is 0 where a data set lacks the
    language; `num_truncated` rows lost tokens to `max_length`."""

    wanted: RowsToEncode
    num_rows: int
    num_truncated: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class _Encoding:
    """What every process encodes rows with."""

    folder: Path
    rows: Rows
    tokenizer: PreTrainedTokenizerFast
    tokenizer_digest: str

    @classmethod
    def of(cls, data: Data) -> "_Encoding":
        return cls(data.folder, data.rows, data.base.tokenizer, data.base.tokenizer_digest)


def prepare(
    settings: StudySettings,
    data: Data,
    *,
    num_processes: int,
    on_done: Callable[[int, int], None],
) -> list[Prepared]:
    """Encode all rows of the hub that the search will read; what is encoded already is skipped.

    Rows of the embedded benchmark are left to the trials: they are made, not read.

    Args:
        on_done: called with the number of (task, language, split) that are done, and with their
            total.

    Raises:
        Refusal: training rows are missing, or rows cannot be used.
    """
    wanted = [w for w in wanted_by(settings) if w.task.dataset != POCKET]
    encode = partial(_encode, _Encoding.of(data))
    num_processes = min(num_processes, len(wanted))
    prepared: list[Prepared] = []
    if num_processes <= 1:
        results: Iterator[Prepared] = map(encode, wanted)
        for result in results:
            prepared.append(_checked(result))
            on_done(len(prepared), len(wanted))
        return prepared
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # torch is imported once for all processes
    # A tokenizer of 250,000 tokens takes seconds to send, so each process gets it once.
    start = partial(_start, _Encoding.of(data))
    with ProcessPoolExecutor(num_processes, context, initializer=start) as pool:
        running = [pool.submit(_encode_here, rows) for rows in wanted]
        try:
            for future in as_completed(running):
                prepared.append(_checked(future.result()))
                on_done(len(prepared), len(wanted))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(prepared, key=lambda result: wanted.index(result.wanted))


def wanted_by(settings: StudySettings) -> list[RowsToEncode]:
    """Every (task, language, split) that phases of the study train on or that its trials score,
    each once."""
    space, evaluation = settings.search_space(), settings.evaluation
    wanted: dict[RowsToEncode, None] = {}
    for source, recipe in space.reads():
        wanted.update(dict.fromkeys(_of_phase(source, recipe)))
    for task, recipe in space.targets:
        if task.trains:
            trained = Source(task.training_task, task.training_task.source_language)
            wanted.update(dict.fromkeys(_of_phase(trained, recipe)))
        for language in settings.languages_of(task):
            scored = RowsToEncode(
                task=task,
                language=language,
                split="validation",
                max_rows=evaluation.max_rows,
                max_length=settings.max_length_of(task),
            )
            wanted[scored] = None
    return list(wanted)


def _of_phase(source: Source, recipe: Recipe) -> Iterator[RowsToEncode]:
    limits = {"train": recipe.max_train_rows, "validation": recipe.max_dev_rows}
    for split in splits_read(source, recipe):
        yield RowsToEncode(
            task=source.task,
            language=source.language,
            split=split,
            max_rows=limits[split],
            max_length=recipe.max_length,
        )


_encoding: _Encoding | None = None  # of a process of the pool


def _start(encoding: _Encoding) -> None:
    """Set up a process of the pool: one thread, and none for the tokenizer."""
    global _encoding
    _encoding = encoding
    torch.set_num_threads(1)
    quiet_libraries()


def _encode_here(wanted: RowsToEncode) -> Prepared:
    """`_encode` in a process of the pool."""
    assert _encoding is not None
    return _encode(_encoding, wanted)


def _encode(encoding: _Encoding, wanted: RowsToEncode) -> Prepared:
    """Encode one set of rows. A refusal is returned as text, because not every exception can be
    sent between processes."""
    empty = partial(Prepared, wanted=wanted, num_rows=0, num_truncated=0)
    try:
        path = encode_rows(
            wanted,
            encoding.folder,
            encoding.rows,
            encoding.tokenizer,
            encoding.tokenizer_digest,
        )
    except NoRowsError as error:
        return empty(refusal=str(error) if wanted.split == "train" else None)
    except Refusal as error:
        return empty(refusal=str(error))
    features = read_features(path)
    num_rows = int(features.example[-1]) + 1 if len(features) else 0
    return Prepared(wanted=wanted, num_rows=num_rows, num_truncated=features.num_truncated)


def _checked(prepared: Prepared) -> Prepared:
    if prepared.refusal is not None:
        raise Refusal(prepared.refusal)
    return prepared
