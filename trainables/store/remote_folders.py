"""Folders of files on an object store: stored whole or not at all, and the first writer wins.

```
<name>/manifest.json        written last, conditionally: the folder exists once this file does
<name>/<upload>/<file>      uploaded before it by one writer, under a random name
```
A manifest names its upload and holds the hashes of all files and the text of the JSON files. So the
files of two writers cannot mix, and the files of a killed writer are not a folder.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from spaces.refusal import AwayError
from trainables.store.folders import HASHES, CorruptedError, check_folder
from trainables.store.object_store import ObjectStore, StoredObject

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The upload that counts, the hashes of its files, and the text of its JSON files."""

    upload: str
    hashes: Mapping[str, str]
    documents: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> "Manifest":
        """A manifest for a local folder, with a new upload name."""
        hashes = json.loads((folder / HASHES).read_text())
        texts = {name: (folder / name).read_text() for name in hashes if name.endswith(".json")}
        return cls(uuid.uuid4().hex, hashes, texts)

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """The manifest in this JSON. Raises ValueError, TypeError or KeyError where it is
        damaged."""
        manifest = cls(**json.loads(content))
        for name, text in manifest.documents.items():
            if sha256(text.encode()).hexdigest() != manifest.hashes[name]:
                raise ValueError(f"{name} differs from what was written")
        if not (isinstance(manifest.upload, str) and manifest.hashes):
            raise ValueError("it has no upload or no files")
        return manifest

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()


@dataclass(frozen=True, slots=True)
class RemoteFolders:
    """Folders that `folders.write_folder` wrote, on an object store. Every method raises AwayError
    where the store does not answer, and CorruptedError where a file is damaged."""

    objects: ObjectStore

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of a folder; None where the folder does not exist."""
        content = self.objects.read(f"{name}/{MANIFEST}")
        try:
            return None if content is None else Manifest.parse(content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptedError(Path(name) / MANIFEST, str(error)) from error

    def publish(self, folder: Path, name: str) -> Manifest:
        """Upload a folder. Returns the manifest that counts: another writer's, where that one was
        first."""
        ours = Manifest.of(folder)
        upload = f"{name}/{ours.upload}"
        for file in (*ours.hashes, HASHES):
            self.objects.upload(folder / file, f"{upload}/{file}")
        self.objects.put_new(f"{name}/{MANIFEST}", ours.to_bytes())
        # Read again, because a repeated request gets 412 for the object that it wrote itself.
        published = self.manifest(name)
        if published is None:
            raise AwayError(f"{self.objects.uri(name)} was removed while it was written")
        if published.upload != ours.upload:
            self.objects.delete(f"{upload}/{file}" for file in (*ours.hashes, HASHES))
        return published

    def fetch(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Download a folder into a new local folder, and check its hashes."""
        folder.mkdir(parents=True)
        for file in manifest.hashes:
            if Path(file).name != file:
                raise CorruptedError(folder / MANIFEST, f"{file!r} is not a file name")
            if file in manifest.documents:
                (folder / file).write_text(manifest.documents[file])
                continue
            try:
                self.objects.download(f"{name}/{manifest.upload}/{file}", folder / file)
            except FileNotFoundError as error:
                raise CorruptedError(folder / file, str(error)) from error
        (folder / HASHES).write_text(json.dumps(dict(manifest.hashes), sort_keys=True, indent=1))
        check_folder(folder)

    def remove(self, objects: Iterable[StoredObject]) -> None:
        """Delete objects, manifests first."""
        self.objects.delete(manifests_first(objects))

    def uploads(self, prefix: str) -> dict[str, list[StoredObject]]:
        """All objects below a prefix by their folder. Files without a manifest are listed under
        `<name>/<upload>`."""
        by_folder: dict[str, list[StoredObject]] = defaultdict(list)
        uploads: dict[str, str] = {}
        for stored in self.objects.listed(prefix):
            folder, _, file = stored.name.rpartition("/")
            if file == MANIFEST:
                manifest = self.manifest(folder)
                uploads[folder] = f"{folder}/{manifest.upload}" if manifest else ""
            by_folder[folder].append(stored)
        for folder, upload in uploads.items():
            by_folder[folder] += by_folder.pop(upload, [])
        return dict(by_folder)


def folder_names(objects: Iterable[StoredObject]) -> list[str]:
    """The names of the folders that exist among these objects, sorted."""
    end = f"/{MANIFEST}"
    return sorted(o.name.removesuffix(end) for o in objects if o.name.endswith(end))


def manifests_first(objects: Iterable[StoredObject]) -> tuple[str, ...]:
    """The names in the order in which to delete them, so that readers see no folder even if the
    deletion is interrupted."""
    names = [stored.name for stored in objects]
    return tuple(sorted(names, key=lambda name: (not name.endswith(f"/{MANIFEST}"), name)))
