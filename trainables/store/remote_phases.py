"""The phase store on an object store, with the home folder as its cache.

What stands on the object store counts. A phase is written to the cache first and then published, so
that a store that is away for a while loses nothing: the next look at the phase publishes it.
"""

import json
import re
import shutil
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
from torch import Tensor

from spaces.refusal import AwayError, Refusal
from trainables.store.folders import CorruptedError, check_folder, read_document, rename_new
from trainables.store.object_store import StoredObject
from trainables.store.phase_store import (
    NUM_KEPT,
    Attempt,
    PhaseRecord,
    PhaseStore,
    StoredFolder,
    damaged,
)
from trainables.store.remote_folders import Manifest, RemoteFolders, manifests_first, names_of

PHASES, ATTEMPTS = "phases", "attempts"
# A name becomes a folder's: none that leads out of it.
_CHECKPOINT = re.compile(r"attempts/\w+/[A-Za-z0-9][\w.-]*/checkpoint-\d{9}")


class RemotePhaseStore(PhaseStore):
    """Raises AwayError where the object store is away."""

    def __init__(self, root: Path, *, owner: str, remote: RemoteFolders) -> None:
        super().__init__(root, owner=owner)
        self._remote = remote
        self._known: dict[str, Manifest] = {}  # what stands is written once: it is asked for once

    def record(self, key: str) -> PhaseRecord | None:
        manifest = self._standing(key)
        if manifest is None:
            return None
        try:
            return PhaseRecord.from_dict(json.loads(manifest.documents["record.json"]))
        except (TypeError, KeyError, ValueError) as error:
            raise self._damaged(key, error) from error

    def load(self, key: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        manifest = self._standing(key)
        if manifest is None:
            raise self._gone(key)
        self._cache(key, manifest)
        return super().load(key)

    def location(self, key: str) -> dict[str, str]:
        manifest = self._standing(key)
        if manifest is None:
            raise self._gone(key)
        place = self._remote.objects.uri(f"{_phase(key)}/{manifest.upload}")
        return {"uri": place, **manifest.hashes}

    def attempt(self, key: str) -> Attempt:
        attempt = super().attempt(key)
        return RemoteAttempt(
            attempt.folder, f"{ATTEMPTS}/{key}/{attempt.folder.name}", self._remote
        )

    def newest_checkpoint(self, key: str) -> Path | None:
        """Of this machine or, where one got further, of another."""
        newest = super().newest_checkpoint(key)
        names = names_of(self._remote.objects.listed(f"{ATTEMPTS}/{key}/"))
        for name in sorted(filter(_CHECKPOINT.fullmatch, names), key=_step, reverse=True):
            if newest is not None and _step(name) <= newest.name:
                break
            folder = self._attempts.parent / name
            try:
                manifest = self._remote.manifest(name)
                if manifest is not None:
                    self._fetch(name, manifest, folder)
                    return folder
            except CorruptedError:
                continue  # cut short, damaged, or just removed by its owner: the one before it
        return newest

    def clear_attempts(self, key: str) -> None:
        super().clear_attempts(key)
        listed = self._remote.objects.listed(f"{ATTEMPTS}/{key}/")
        self._remote.remove(one for one in listed if self._is_own(one.name.split("/")[2]))

    def stored(self) -> list[StoredFolder]:
        """Of the cache and of the object store. Files of phases that no manifest stands for are
        of nobody: their key is `<key>/<upload>`."""
        try:
            places = self._remote.uploads(f"{PHASES}/")
        except CorruptedError as error:
            raise self._damaged(error.path.parent.name, error) from error
        attempts = defaultdict(list)
        for one in self._remote.objects.listed(f"{ATTEMPTS}/"):
            attempts["/".join(one.name.split("/")[:2])].append(one)
        remote = [self._stored(place, objects) for place, objects in {**places, **attempts}.items()]
        return [*super().stored(), *remote]

    def remove(self, stored: StoredFolder) -> None:
        if stored.folder is not None:
            super().remove(stored)
        self._remote.objects.delete(stored.objects)

    def _stored(self, place: str, objects: Sequence[StoredObject]) -> StoredFolder:
        kind, _, key = place.partition("/")
        return StoredFolder(
            key,
            kind,
            self._remote.objects.uri(place),
            num_bytes=sum(one.num_bytes for one in objects),
            changed=max(one.changed for one in objects),
            objects=manifests_first(objects),
        )

    def _standing(self, key: str) -> Manifest | None:
        """The manifest of a phase. One that the cache alone has is published first: it was trained
        while the store was away, or before it was named."""
        if key not in self._known:
            found = self._manifest(key) or self._published(key)
            if found is None:
                return None
            self._known[key] = found
        return self._known[key]

    def _manifest(self, key: str) -> Manifest | None:
        try:
            return self._remote.manifest(_phase(key))
        except CorruptedError as error:
            raise self._damaged(key, error) from error

    def _published(self, key: str) -> Manifest | None:
        folder = self._phases / key
        if not folder.is_dir():
            return None
        try:
            check_folder(folder)
            return self._remote.publish(folder, _phase(key))
        except CorruptedError as error:
            raise damaged(folder, error) from error

    def _cache(self, key: str, manifest: Manifest) -> None:
        """Have the phase that stands in the home folder."""
        try:
            self._fetch(_phase(key), manifest, self._phases / key)
        except CorruptedError as error:
            del self._known[key]
            if self._manifest(key) is None:
                raise self._gone(key) from error
            raise self._damaged(key, error) from error

    def _fetch(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Have a remote folder here, by one download however many processes ask for it, in place
        of what lost against it."""
        self._attempts.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._attempts / f"{name.split('/')[1]}.lock"):
            if _is_of(folder, manifest):
                return
            fetching = self._attempts / f"fetching-{uuid.uuid4().hex}"
            try:
                self._remote.fetch(name, manifest, fetching)
                if folder.is_dir():
                    super().remove(StoredFolder.of(folder))
                rename_new(fetching, folder)
            finally:
                shutil.rmtree(fetching, ignore_errors=True)

    def _damaged(self, key: str, reason: object) -> Refusal:
        place = self._remote.objects.uri(f"{_phase(key)}/")
        return Refusal(
            f"phase {key} in the phase store is damaged ({reason}); delete it (aws s3 rm "
            f"--recursive {place}) and run the study again: what is missing is made anew"
        )

    def _gone(self, key: str) -> Refusal:
        return AwayError(
            f"phase {key} is no longer in the phase store {self._remote.objects}: somebody removed "
            "it; the next try trains it again"
        )


@dataclass(frozen=True)
class RemoteAttempt(Attempt):
    """An attempt whose checkpoints other machines can take up. `name` is where they lie there."""

    name: str
    remote: RemoteFolders

    def save(
        self,
        step: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> None:
        super().save(step, tensors, documents)
        folder = self.checkpoint(step)
        self.remote.publish(folder, f"{self.name}/{folder.name}")
        listed = self.remote.objects.listed(f"{self.name}/")
        kept = tuple(names_of(listed)[-NUM_KEPT:])
        self.remote.remove(one for one in listed if not one.name.startswith(kept))


def _phase(key: str) -> str:
    return f"{PHASES}/{key}"


def _step(name: str) -> str:
    """`checkpoint-<step>`, its digits filled up: they sort as they follow each other."""
    return name.rpartition("/")[2]


def _is_of(folder: Path, manifest: Manifest) -> bool:
    try:
        return read_document(folder, "hashes") == dict(manifest.hashes)
    except CorruptedError:
        return False
