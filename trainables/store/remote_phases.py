"""The phase store on an object store, with the home folder as its cache.

The object store decides which phase counts. A phase is written to the cache first and then
published. So a store that is unreachable for a while loses nothing: the next access to the phase
publishes it.
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
from trainables.store.remote_folders import Manifest, RemoteFolders, folder_names, manifests_first
from trainables.store.shared_tensors import SHARED, TENSORS, digest_in, parse_digest

PHASES, ATTEMPTS = "phases", "attempts"
# Such a name becomes a local path, so it must not lead out of the folder.
_CHECKPOINT = re.compile(r"attempts/\w+/[A-Za-z0-9][\w.-]*/checkpoint-\d{9}")


class RemotePhaseStore(PhaseStore):
    """A PhaseStore whose phases are on an object store. Its methods raise AwayError where that does
    not answer."""

    def __init__(self, root: Path, *, owner: str, remote: RemoteFolders) -> None:
        super().__init__(root, owner=owner)
        self._remote = remote
        self._known: dict[str, Manifest] = {}  # manifests never change, so each is read once

    def record(self, key: str) -> PhaseRecord | None:
        manifest = self._counted_manifest(key)
        if manifest is None:
            return None
        try:
            return PhaseRecord.from_dict(json.loads(manifest.documents["record.json"]))
        except (TypeError, KeyError, ValueError) as error:
            raise self._damaged(key, error) from error

    def load(self, key: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        manifest = self._counted_manifest(key)
        if manifest is None:
            raise self._removed(key)
        self._cache(key, manifest)
        self._cache_shared(key)
        return super().load(key)

    def location(self, key: str) -> dict[str, str]:
        manifest = self._counted_manifest(key)
        if manifest is None:
            raise self._removed(key)
        uri = self._remote.objects.uri(f"{_phase(key)}/{manifest.upload}")
        return {"uri": uri, **manifest.hashes}

    def attempt(self, key: str) -> Attempt:
        attempt = super().attempt(key)
        return RemoteAttempt(
            attempt.folder, f"{ATTEMPTS}/{key}/{attempt.folder.name}", self._remote
        )

    def newest_checkpoint(self, key: str) -> Path | None:
        """The checkpoint with the most steps, of this machine or of another."""
        newest = super().newest_checkpoint(key)
        names = folder_names(self._remote.objects.listed(f"{ATTEMPTS}/{key}/"))
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
                continue  # incomplete, damaged, or just removed by its owner: try the one before it
        return newest

    def clear_attempts(self, key: str) -> None:
        super().clear_attempts(key)
        listed = self._remote.objects.listed(f"{ATTEMPTS}/{key}/")
        self._remote.remove(o for o in listed if self._is_own(o.name.split("/")[2]))

    def stored(self) -> list[StoredFolder]:
        """The folders of the cache and of the object store. Files of phases without a manifest
        belong to no phase: their key is `<key>/<upload>`."""
        try:
            phases = self._remote.uploads(f"{PHASES}/") | self._remote.uploads(f"{TENSORS}/")
        except CorruptedError as error:
            raise self._damaged(error.path.parent.name, error) from error
        attempts = defaultdict(list)
        for stored in self._remote.objects.listed(f"{ATTEMPTS}/"):
            attempts["/".join(stored.name.split("/")[:2])].append(stored)
        remote = [self._stored(name, objects) for name, objects in {**phases, **attempts}.items()]
        return [*super().stored(), *remote]

    def remove(self, stored: StoredFolder) -> None:
        if stored.folder is not None:
            super().remove(stored)
        self._remote.objects.delete(stored.objects)

    def _stored(self, name: str, objects: Sequence[StoredObject]) -> StoredFolder:
        kind, _, key = name.partition("/")
        return StoredFolder(
            key,
            kind,
            self._remote.objects.uri(name),
            num_bytes=sum(stored.num_bytes for stored in objects),
            changed=max(stored.changed for stored in objects),
            objects=manifests_first(objects),
            shares=self._shares(name, objects) if kind == PHASES else None,
        )

    def _shares(self, name: str, objects: Sequence[StoredObject]) -> str | None:
        """The digest of the tensors that a remote phase shares; None without them."""
        manifest = self._remote.manifest(name) if folder_names(objects) else None
        text = manifest.documents.get(f"{SHARED}.json") if manifest else None
        return parse_digest(json.loads(text), Path(name)) if text else None

    def _counted_manifest(self, key: str) -> Manifest | None:
        """The manifest of a phase; None where the phase is not stored. A phase that only the cache
        has is published first: it was trained while the store did not answer, or before the study
        named it."""
        if key not in self._known:
            manifest = self._manifest(key) or self._publish_cached(key)
            if manifest is None:
                return None
            self._known[key] = manifest
        return self._known[key]

    def _manifest(self, key: str) -> Manifest | None:
        try:
            return self._remote.manifest(_phase(key))
        except CorruptedError as error:
            raise self._damaged(key, error) from error

    def _publish_cached(self, key: str) -> Manifest | None:
        folder = self._phases / key
        if not folder.is_dir():
            return None
        try:
            check_folder(folder)
            digest = digest_in(folder)
            if digest is not None:  # before the phase, so that no phase is seen without them
                self._publish_shared(digest)
            return self._remote.publish(folder, _phase(key))
        except CorruptedError as error:
            raise damaged(folder, error) from error

    def _publish_shared(self, digest: str) -> None:
        """Ensure that the object store has these tensors. Raises CorruptedError where they are
        damaged here."""
        name = f"{TENSORS}/{digest}"
        if self._remote.manifest(name) is None:
            check_folder(self._root / name)
            self._remote.publish(self._root / name, name)

    def _cache(self, key: str, manifest: Manifest) -> None:
        """Ensure that the home folder has the phase of this manifest."""
        try:
            self._fetch(_phase(key), manifest, self._phases / key)
        except CorruptedError as error:
            del self._known[key]
            if self._manifest(key) is None:
                raise self._removed(key) from error
            raise self._damaged(key, error) from error

    def _cache_shared(self, key: str) -> None:
        """Ensure that the home folder has the tensors that a cached phase shares."""
        try:
            digest = digest_in(self._phases / key)
            if digest is None:
                return
            name = f"{TENSORS}/{digest}"
            manifest = self._remote.manifest(name)
            if manifest is None:
                raise CorruptedError(Path(name), "the tensors that it shares were removed")
            self._fetch(name, manifest, self._root / name)
        except CorruptedError as error:
            raise self._damaged(key, error) from error

    def _fetch(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Ensure that a remote folder is here, with one download for all processes. A local folder
        that lost against it is replaced."""
        self._attempts.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._attempts / f"{name.split('/')[1]}.lock"):
            if _has_files_of(folder, manifest):
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
        uri = self._remote.objects.uri(f"{_phase(key)}/")
        return Refusal(
            f"phase {key} in the phase store is damaged ({reason}); delete it (aws s3 rm "
            f"--recursive {uri}) and run the study again, which trains what is missing"
        )

    def _removed(self, key: str) -> Refusal:
        return AwayError(
            f"phase {key} was removed from the phase store {self._remote.objects}; the next "
            "attempt trains it again"
        )


@dataclass(frozen=True)
class RemoteAttempt(Attempt):
    """An attempt whose checkpoints other machines can resume from. `name` is its folder on the
    object store."""

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
        kept = tuple(folder_names(listed)[-NUM_KEPT:])
        self.remote.remove(o for o in listed if not o.name.startswith(kept))


def _phase(key: str) -> str:
    return f"{PHASES}/{key}"


def _step(name: str) -> str:
    """`checkpoint-<step>`; the step has leading zeros, so names sort by step."""
    return name.rpartition("/")[2]


def _has_files_of(folder: Path, manifest: Manifest) -> bool:
    """Whether the folder has the files of this manifest."""
    try:
        return read_document(folder, "hashes") == dict(manifest.hashes)
    except CorruptedError:
        return False
