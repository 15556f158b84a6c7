"""Folders of files on an object store: there whole or not at all, the first writer wins.

```
<name>/manifest.json        the folder exists from the moment that this does: a conditional write
<name>/<upload>/<file>      what one writer uploaded before it, under a name of its own
```
A manifest names its upload and has the hashes of all files and the text of the JSON ones, so that
two writers' files cannot mix, and what a killed writer left is no folder.
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
    """Which upload stands, the hashes of its files, and what its JSON files say."""

    upload: str
    hashes: Mapping[str, str]
    documents: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> "Manifest":
        hashes = json.loads((folder / HASHES).read_text())
        texts = {name: (folder / name).read_text() for name in hashes if name.endswith(".json")}
        return cls(uuid.uuid4().hex, hashes, texts)

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """Raises ValueError, TypeError or KeyError where it is not what was written."""
        found = cls(**json.loads(content))
        for name, text in found.documents.items():
            if sha256(text.encode()).hexdigest() != found.hashes[name]:
                raise ValueError(f"{name} is not what was written")
        if not (isinstance(found.upload, str) and found.hashes):
            raise ValueError("it names no upload or no files")
        return found

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()


@dataclass(frozen=True, slots=True)
class RemoteFolders:
    """Folders that `checkpoint.write_folder` wrote, on an object store. Every method raises
    AwayError where the store is away, and CorruptedError where it reads what nobody wrote."""

    objects: ObjectStore

    def manifest(self, name: str) -> Manifest | None:
        """What stands under a name; None where there is no folder."""
        content = self.objects.read(f"{name}/{MANIFEST}")
        try:
            return None if content is None else Manifest.parse(content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptedError(Path(name) / MANIFEST, str(error)) from error

    def publish(self, folder: Path, name: str) -> Manifest:
        """Upload a folder. Returns the manifest that stands: another's where one was first."""
        ours = Manifest.of(folder)
        place = f"{name}/{ours.upload}"
        for file in (*ours.hashes, HASHES):
            self.objects.upload(folder / file, f"{place}/{file}")
        self.objects.put_new(f"{name}/{MANIFEST}", ours.to_bytes())
        # Read again: a repeated request is told that there is one, where it was its own.
        standing = self.manifest(name)
        if standing is None:
            raise AwayError(f"{self.objects.uri(name)} was removed as it was being written")
        if standing.upload != ours.upload:
            self.objects.delete(f"{place}/{file}" for file in (*ours.hashes, HASHES))
        return standing

    def fetch(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Download a folder into a new one and check it."""
        folder.mkdir(parents=True)
        for file in manifest.hashes:
            if Path(file).name != file:
                raise CorruptedError(folder / MANIFEST, f"{file!r} is no name of a file")
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
        self.objects.delete(manifests_first(objects))

    def uploads(self, prefix: str) -> dict[str, list[StoredObject]]:
        """All objects below a prefix by the folder they belong to, the files that no manifest
        stands for apart, under `<name>/<upload>`."""
        found: dict[str, list[StoredObject]] = defaultdict(list)
        standing: dict[str, str] = {}
        for one in self.objects.listed(prefix):
            place, _, file = one.name.rpartition("/")
            if file == MANIFEST:
                manifest = self.manifest(place)
                standing[place] = f"{place}/{manifest.upload}" if manifest else ""
            found[place].append(one)
        for place, upload in standing.items():
            found[place] += found.pop(upload, [])
        return dict(found)


def names_of(objects: Iterable[StoredObject]) -> list[str]:
    """Names of the folders that exist among listed objects, sorted."""
    end = f"/{MANIFEST}"
    return sorted(one.name.removesuffix(end) for one in objects if one.name.endswith(end))


def manifests_first(objects: Iterable[StoredObject]) -> tuple[str, ...]:
    """Names in the order to delete them: readers find no folder, whenever that is cut short."""
    names = [one.name for one in objects]
    return tuple(sorted(names, key=lambda name: (not name.endswith(f"/{MANIFEST}"), name)))
