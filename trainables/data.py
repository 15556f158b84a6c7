"""Rows of (task, language, split), their fingerprints, and their features: tokenised once, then
memory-mapped by every trial and worker."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from spaces.refusal import Refusal, unknown
from spaces.tasks import get_task
from trainables.examples import Example
from trainables.formats.base import Features, Ragged
from trainables.formats.kinds import format_of
from trainables.model import BaseEncoder
from trainables.pocket import rows as pocket

SPLITS = ("train", "validation", "test")
ENCODING_VERSION = 1  # raised by hand when a format encodes rows in another way


@lru_cache(maxsize=1024)
def load_rows(task: str, language: str, split: str) -> tuple[Example, ...]:
    """Every row, checked against its task. Raises Refusal with the row's id."""
    entry = get_task(task)
    if language not in entry.languages and language != entry.source_language:
        raise unknown(f"language of task {task!r}", language, entry.languages)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    examples = pocket.rows(task, language, split)
    if not examples:
        raise Refusal(f"task {task!r} has no {split} rows in {language!r}")
    form = format_of(entry.kind)
    for example in examples:
        form.check(example, entry)
    return examples


def take(examples: Sequence[Example], max_rows: int | None) -> tuple[Example, ...]:
    """At most `max_rows` rows, chosen by a hash of their ids and kept in order: the same rows in
    every language, and a smaller choice lies inside a larger one."""
    if max_rows is None or len(examples) <= max_rows:
        return tuple(examples)

    def draw(index: int) -> bytes:
        return hashlib.sha256(examples[index].id.encode()).digest()

    chosen = sorted(range(len(examples)), key=draw)[:max_rows]
    return tuple(examples[index] for index in sorted(chosen))


@lru_cache(maxsize=1024)
def fingerprint(task: str, language: str, split: str) -> str:
    """A digest of the content of every row."""
    digest = hashlib.sha256()
    for example in load_rows(task, language, split):
        digest.update(json.dumps(asdict(example), sort_keys=True).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Data:
    """Encoded rows for one tokenizer, cached by content under `folder`."""

    folder: Path
    base: BaseEncoder

    def examples(
        self, task: str, language: str, split: str, *, max_rows: int | None
    ) -> tuple[Example, ...]:
        return take(load_rows(task, language, split), max_rows)

    def features(
        self, task: str, language: str, split: str, *, max_rows: int | None, max_length: int
    ) -> Features:
        """The encoded rows of `examples`, read from disk, tokenised only if not there yet."""
        self.base.check_length(max_length)
        content = [
            fingerprint(task, language, split),
            list(get_task(task).labels),
            self.base.tokenizer_digest,
            max_rows,
            max_length,
            ENCODING_VERSION,
        ]
        key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
        path = self.folder / f"{task}-{language}-{split}-{key}.arrow"
        if not path.exists():
            features = format_of(get_task(task).kind).encode(
                self.examples(task, language, split, max_rows=max_rows),
                get_task(task),
                tokenizer=self.base.tokenizer,
                max_length=max_length,
            )
            write_features(path, features)
        return read_features(path)


def write_features(path: Path, features: Features) -> None:
    """Write atomically: a reader sees the whole file or none."""
    columns = {
        "input_ids": _lists(features.input_ids),
        "second": pa.array(features.second),
        "example": pa.array(features.example),
        "labels": _lists(features.labels),
        "origins": _lists(features.origins),
    }
    table = pa.table(columns, metadata={"num_truncated": str(features.num_truncated)})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{uuid.uuid4().hex}")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    unfinished.rename(path)


def read_features(path: Path) -> Features:
    """Memory-mapped: processes on one machine share the pages."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()
        return Features(
            input_ids=_ragged(table["input_ids"]),
            second=table["second"].to_numpy(),
            example=table["example"].to_numpy(),
            labels=_ragged(table["labels"]),
            origins=_ragged(table["origins"]),
            num_truncated=int(table.schema.metadata[b"num_truncated"]),
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
