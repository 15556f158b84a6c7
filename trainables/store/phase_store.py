"""The content-addressed store of trained phases: one folder per key, written once by a rename.

```
phases/<key>/      encoder.safetensors, heads.safetensors, record.json, hashes.json; shared.json
tensors/<digest>/  the tensors of an encoder that phases share (see `shared_tensors`)
attempts/<key>/<attempt>/checkpoint-<step>/   from which an unfinished phase is resumed
```
A phase that diverged has a record without weights, which names the key of its retry.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spaces.refusal import Refusal
from trainables.store.folders import (
    CorruptedError,
    check_folder,
    read_document,
    read_tensors,
    rename_new,
    write_folder,
)
from trainables.store.shared_tensors import (
    SHARED,
    TENSORS,
    digest_in,
    read_set,
    split,
    write_set,
)

NUM_KEPT = (
    2  # checkpoints of an attempt: the newest one, and one more in case that one is incomplete
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRecord:
    """What is stored of a trained phase besides its weights.

    `phase` is what was actually trained. Where training diverged and was repeated under another
    key, `retried_as` is that key, and there are no weights. `losses` are means over equal parts of
    the steps. `dev_scores` are pairs of (step, main score on source-language validation rows).
    `seconds` is the training time over all attempts; `num_tokens` includes padding. `device`,
    `precision`, `num_workers` and `max_device_tokens` (of a micro-batch) are those of the attempt
    that finished it; the last bits of the weights depend on them (`Phase.key`). Older records do
    not have them.
    """

    key: str
    parent: str | None
    phase: Mapping[str, Any]
    retried_as: str | None = None
    retry_of: str | None = None
    reason: str | None = None
    losses: tuple[float, ...] = ()
    dev_scores: tuple[tuple[int, float], ...] = ()
    num_steps: int = 0
    best_step: int = 0
    num_examples: int = 0
    num_tokens: int = 0
    num_useful_tokens: int = 0
    seconds: float = 0.0
    device: str | None = None
    precision: str | None = None
    num_workers: int | None = None
    max_device_tokens: int | None = None

    @property
    def has_diverged(self) -> bool:
        """Whether it diverged at half the rate too, so that there are no weights under any key."""
        return self.reason is not None and self.retried_as is None

    @property
    def loss_fell(self) -> bool:
        """Whether the mean of the last tenth of the losses is below that of the first; True with
        too few losses."""
        part = max(1, len(self.losses) // 10)
        first, last = self.losses[:part], self.losses[-part:]
        return len(self.losses) < 4 or sum(last) < sum(first)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PhaseRecord":
        """The inverse of `to_dict`."""
        dev_scores = tuple((step, score) for step, score in data["dev_scores"])
        return cls(**{**data, "losses": tuple(data["losses"]), "dev_scores": dev_scores})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process's attempt at a phase. The next attempt resumes from its checkpoints."""

    folder: Path

    def save(
        self,
        step: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the checkpoint of `step`, and remove all but the newest NUM_KEPT."""
        unfinished = self.folder / f"writing-{uuid.uuid4().hex}"
        write_folder(unfinished, tensors, documents)
        rename_new(unfinished, self.checkpoint(step))
        for old in sorted(self.folder.glob("checkpoint-*"))[:-NUM_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint of `step`."""
        return self.folder / f"checkpoint-{step:09d}"


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder of the store: a phase (`kind` is `phases`), what attempts at a phase left
    (`attempts`), the outcomes of rows (`outcomes`), or tensors that phases share (`tensors`, whose
    key is their digest). `changed` is the time of its newest file, in seconds since the epoch.
    `shares` is the digest of the tensors that a phase shares. On an object store it is `objects`,
    in the order in which to delete them."""

    key: str
    kind: str
    name: str
    num_bytes: int
    changed: float
    folder: Path | None = None
    objects: tuple[str, ...] = ()
    shares: str | None = None

    @classmethod
    def of(cls, folder: Path) -> "StoredFolder":
        """The folder with its size and time."""
        files = [path.lstat() for path in folder.rglob("*") if not path.is_dir()]
        changed = max((file.st_mtime for file in files), default=0.0)
        key, kind = folder.name, folder.parent.name
        return cls(
            key=key,
            kind=kind,
            name=f"{kind}/{key}",
            num_bytes=sum(file.st_size for file in files),
            # A set in use again has a newer folder than files.
            changed=max(changed, folder.stat().st_mtime if kind == TENSORS or not files else 0.0),
            folder=folder,
            shares=digest_in(folder),
        )


def newest_whole(checkpoints: Iterable[Path]) -> Path | None:
    """The checkpoint with the most steps that is complete; None without one."""
    for folder in sorted(checkpoints, key=lambda path: path.name, reverse=True):
        try:
            check_folder(folder)
        except CorruptedError:
            continue
        return folder
    return None


class PhaseStore:
    """Phases by key under `root`. `owner` (the study) marks the attempts that this store may
    remove."""

    def __init__(self, root: Path, *, owner: str) -> None:
        self._root = root
        self._phases = root / "phases"
        self._attempts = root / "attempts"
        self._owner = owner

    def record(self, key: str) -> PhaseRecord | None:
        """The record of a stored phase; None where there is none. Weights are not read. Raises
        Refusal where the record is damaged."""
        folder = self._phases / key
        if not folder.is_dir():
            return None
        try:
            check_folder(folder, only="record.json")
            return PhaseRecord.from_dict(read_document(folder, "record"))
        except (CorruptedError, TypeError, KeyError, ValueError) as error:
            raise damaged(folder, error) from error

    def resolve(self, key: str) -> PhaseRecord | None:
        """The record under a key, or under the key of its retry."""
        record = self.record(key)
        if record is not None and record.retried_as is not None:
            return self.record(record.retried_as)
        return record

    def trained_as(self, key: str) -> str:
        """The key that has the weights of a phase; `key` itself where the phase is not stored
        yet."""
        record = self.resolve(key)
        return record.key if record is not None else key

    def load(self, key: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(encoder, heads) of a stored phase, after a check of its hashes. Raises Refusal where
        they are damaged."""
        folder = self._phases / key
        try:
            check_folder(folder)
            encoder, digest = read_tensors(folder, "encoder"), digest_in(folder)
            if digest is not None:
                encoder |= read_set(self._root, digest)
            return encoder, read_tensors(folder, "heads")
        except CorruptedError as error:
            raise damaged(folder, error) from error

    def location(self, key: str) -> dict[str, str]:
        """The address of a phase and the hashes of its files, for the record in MLflow."""
        folder = self._phases / key
        try:
            hashes = read_document(folder, "hashes")
        except CorruptedError as error:
            raise damaged(folder, error) from error
        return {"uri": folder.as_uri(), **{name: str(value) for name, value in hashes.items()}}

    def attempt(self, key: str) -> Attempt:
        """A new attempt with its own folder for the checkpoints of this phase."""
        folder = self._attempts / key / f"{self._owner}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return Attempt(folder)

    def newest_checkpoint(self, key: str) -> Path | None:
        """The complete checkpoint with the most steps of any attempt at this phase; incomplete ones
        are skipped."""
        return newest_whole((self._attempts / key).glob("*/checkpoint-*"))

    def commit(
        self,
        record: PhaseRecord,
        tensors: Mapping[str, Mapping[str, Tensor]],
        *,
        unchanged: Set[str] = frozenset(),
    ) -> PhaseRecord:
        """Write a phase under its key. The first writer wins. Returns the record in the store.

        Args:
            tensors: the weights of `encoder` and `heads` by name; none of a phase that diverged.
            unchanged: the names of those of the encoder that the phase left as they were. They are
                stored once for all phases that have the same ones.
        """
        unfinished = self._attempts / record.key / f"committing-{uuid.uuid4().hex}"
        documents: dict[str, Mapping[str, Any]] = {"record": record.to_dict()}
        if "encoder" in tensors:
            own, shared = split(tensors["encoder"], unchanged)
            tensors = {**tensors, "encoder": own}
            if shared:
                documents[SHARED] = {"encoder": write_set(self._root, shared)}
        write_folder(unfinished, tensors, documents)
        rename_new(unfinished, self._phases / record.key)
        stored = self.record(record.key)
        assert stored is not None
        self.clear_attempts(record.key)
        return stored

    def clear_attempts(self, key: str) -> None:
        """Remove this owner's attempts at a phase. Attempts of other studies may still run; their
        own commits and `gc` remove them."""
        for attempt in (self._attempts / key).glob("*-*-*"):
            if self._is_own(attempt.name):
                shutil.rmtree(attempt, ignore_errors=True)

    def _is_own(self, attempt: str) -> bool:
        return attempt.rsplit("-", 2)[0] == self._owner

    def stored(self) -> list[StoredFolder]:
        """Every folder that uses disk space, with its key. Outcomes of the untrained encoder are
        left out: they belong to no phase."""
        parents = [self._root / kind for kind in ("phases", TENSORS, "attempts", "outcomes")]
        folders = [path for parent in parents for path in parent.glob("*") if path.is_dir()]
        return [_stored(path) for path in folders if not path.name.startswith("encoder-")]

    def remove(self, stored: StoredFolder) -> None:
        """Remove a folder. Readers no longer see any of it, even if the deletion is interrupted."""
        assert stored.folder is not None
        removed = self._attempts / f"removing-{uuid.uuid4().hex}"
        self._attempts.mkdir(parents=True, exist_ok=True)
        stored.folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def _stored(folder: Path) -> StoredFolder:
    try:
        return StoredFolder.of(folder)
    except CorruptedError as error:
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> Refusal:
    """The Refusal for a phase's folder, or the tensors that it shares, that differ from what was
    written."""
    shared = folder.parent.with_name(TENSORS)
    folders = f"the folder {folder}"
    if isinstance(error, CorruptedError) and error.path.is_relative_to(shared):
        folders = f"the folders {folder} and {shared / error.path.relative_to(shared).parts[0]}"
    return Refusal(
        f"phase {folder.name} in the phase store is damaged ({error}); delete {folders} "
        "and run the study again, which trains what is missing"
    )
