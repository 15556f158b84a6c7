"""Encoded rows of a (task, language, split), tokenised once and memory-mapped by every trial and
worker."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from spaces.phases import Recipe
from spaces.refusal import Refusal
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import BaseEncoder
from trainables.examples import Example, SentenceExample
from trainables.features.fertility import fertility
from trainables.formats.base import Features, Ragged
from trainables.formats.kinds import format_of_task
from trainables.rows.rows import Rows
from trainables.scoring.groups import Groups, groups_of
from trainables.whole import whole_file

ENCODING_VERSION = 1  # raise it when a format encodes rows differently


def take(examples: Sequence[Example], max_rows: int | None) -> tuple[Example, ...]:
    """At most `max_rows` rows, chosen by a hash of their ids and kept in order. So every language
    gets the same rows, and a smaller choice is part of a larger one. Sentences to mine are chosen
    together with their partners."""
    if max_rows is None or len(examples) <= max_rows:
        return tuple(examples)

    def draw(index: int) -> bytes:
        example = examples[index]
        partners = example.partners if isinstance(example, SentenceExample) else ()
        return hashlib.sha256(min((example.id, *partners)).encode()).digest()

    chosen = sorted(range(len(examples)), key=draw)[:max_rows]
    return tuple(examples[index] for index in sorted(chosen))


def splits_read(source: Source, recipe: Recipe) -> tuple[str, ...]:
    """The splits of a source that a phase reads. Validation rows serve early stopping; masked text
    has none."""
    is_masked = source.task.kind is TaskKind.MLM
    return ("train", "validation") if recipe.evaluate_every and not is_masked else ("train",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsToEncode:
    """Rows to encode: at most `max_rows` of them, in sequences of at most `max_length` tokens."""

    task: Task
    language: str
    split: str
    max_rows: int | None
    max_length: int


@dataclass(frozen=True, slots=True)
class Data:
    """Encoded rows for one tokenizer, cached under `folder` by their content."""

    folder: Path
    base: BaseEncoder
    rows: Rows = Rows()  # noqa: RUF009, it is frozen

    def examples(
        self, task: Task, language: str, split: str, *, max_rows: int | None
    ) -> tuple[Example, ...]:
        """The rows of a split, at most `max_rows`, as `take` chooses them."""
        return take(self.rows.examples(task, language, split), max_rows)

    def groups(
        self, task: Task, language: str, split: str, *, max_rows: int | None
    ) -> Groups | None:
        """The groups of the rows of `examples`, as `groups_of` finds them; computed once per
        process."""
        return _groups(self.rows, task, language, split, max_rows)

    def features(
        self, task: Task, language: str, split: str, *, max_rows: int | None, max_length: int
    ) -> Features:
        """The encoded rows of `examples`, read from disk, and tokenised first where they are not
        there yet. Raises Refusal for a length that the encoder cannot read."""
        self.base.check_length(max_length)
        wanted = RowsToEncode(
            task=task, language=language, split=split, max_rows=max_rows, max_length=max_length
        )
        tokenizer, digest = self.base.tokenizer, self.base.tokenizer_digest
        return read_features(encode_rows(wanted, self.folder, self.rows, tokenizer, digest))


@lru_cache(maxsize=1024)
def _groups(
    rows: Rows, task: Task, language: str, split: str, max_rows: int | None
) -> Groups | None:
    return groups_of(take(rows.examples(task, language, split), max_rows), task)


def encode_rows(
    wanted: RowsToEncode,
    folder: Path,
    rows: Rows,
    tokenizer: PreTrainedTokenizerFast,
    tokenizer_digest: str,
) -> Path:
    """The path of the file with the encoded rows; they are encoded first where it does not exist.
    Its name holds a digest of all that decides its content."""
    task = wanted.task
    cell = (task, wanted.language, wanted.split)
    content = [
        rows.fingerprint(*cell),
        list(task.labels),
        tokenizer_digest,
        wanted.max_rows,
        wanted.max_length,
        ENCODING_VERSION,
    ]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    path = folder / f"{task}-{wanted.language}-{wanted.split}-{key}.arrow"
    if not path.exists():
        examples = take(rows.examples(*cell), wanted.max_rows)
        features = format_of_task(task).encode(
            examples, task, tokenizer=tokenizer, max_length=wanted.max_length
        )
        measured = fertility(examples, wanted.language, tokenizer=tokenizer)
        write_features(path, replace(features, fertility=measured))
    return path


def write_features(path: Path, features: Features) -> None:
    """Write encoded rows as an Arrow file, in one step: a reader sees the whole file or none."""
    columns = {
        "input_ids": _lists(features.input_ids),
        "second": pa.array(features.second),
        "example": pa.array(features.example),
        "labels": _lists(features.labels),
        "origins": _lists(features.origins),
    }
    metadata = {"num_truncated": str(features.num_truncated)}
    if features.fertility is not None:
        metadata["fertility"] = repr(features.fertility)
    table = pa.table(columns, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        whole_file(path) as draft,
        pa.OSFile(str(draft), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def read_features(path: Path) -> Features:
    """Memory-map encoded rows: processes on one machine share the memory pages. Raises Refusal for
    a file that cannot be read."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()
        metadata = table.schema.metadata
        measured = metadata.get(b"fertility")  # missing in files of earlier versions
        return Features(
            input_ids=_ragged(table["input_ids"]),
            second=table["second"].to_numpy(),
            example=table["example"].to_numpy(),
            labels=_ragged(table["labels"]),
            origins=_ragged(table["origins"]),
            num_truncated=int(metadata[b"num_truncated"]),
            fertility=None if measured is None else float(measured),
        )
    except (OSError, pa.ArrowException, AttributeError, KeyError, TypeError) as error:
        raise Refusal(
            f"tokenised rows {path.name} cannot be read ({error}); delete {path} and run again"
        ) from error


def _lists(ragged: Ragged) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array(ragged.offsets), pa.array(ragged.values))


def _ragged(column: pa.ChunkedArray) -> Ragged:
    lists = column.chunk(0) if column.num_chunks else column.combine_chunks()
    values = lists.values.to_numpy(zero_copy_only=True)
    return Ragged(values.astype(np.int32, copy=False), lists.offsets.to_numpy())
