from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from spaces.bucket import Bucket
from spaces.refusal import AwayError
from trainables.store.folders import CorruptedError, check_folder, write_folder
from trainables.store.object_store import ObjectStore
from trainables.store.remote_folders import Manifest, RemoteFolders, folder_names, manifests_first


@pytest.fixture
def remote(bucket: str) -> RemoteFolders:
    return RemoteFolders(ObjectStore(Bucket.parse(bucket, setting="x"), max_attempts=1))


def written(folder: Path, value: float = 1.0) -> Path:
    write_folder(folder, {"w": {"w": torch.full((9,), value)}}, {"record": {"value": value}})
    return folder


def test_a_folder_goes_and_comes(remote: RemoteFolders, tmp_path: Path) -> None:
    one = written(tmp_path / "one")
    assert remote.manifest("phases/a") is None
    manifest = remote.publish(one, "phases/a")
    assert remote.manifest("phases/a") == manifest
    remote.fetch("phases/a", manifest, tmp_path / "two")
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "two").iterdir()
    }
    assert folder_names(remote.objects.listed("phases/")) == ["phases/a"]


def test_of_writers_at_once_one_stands_whole(remote: RemoteFolders, tmp_path: Path) -> None:
    def publish(number: int) -> Manifest:
        return remote.publish(written(tmp_path / f"{number}", number), "phases/a")

    with ThreadPoolExecutor(6) as pool:
        standing = list(pool.map(publish, range(6)))
    assert len({one.upload for one in standing}) == 1
    remote.fetch("phases/a", standing[0], tmp_path / "fetched")
    check_folder(tmp_path / "fetched")
    uploads = {one.name.split("/")[2] for one in remote.objects.listed("phases/a/")}
    assert uploads == {"manifest.json", standing[0].upload}, "the losers cleaned up"


def test_files_without_a_manifest_are_no_folder(remote: RemoteFolders, tmp_path: Path) -> None:
    """A writer that was killed before its last request."""
    one = written(tmp_path / "one")
    remote.objects.upload(one / "w.safetensors", "phases/a/dead/w.safetensors")
    assert remote.manifest("phases/a") is None
    assert list(remote.uploads("phases/")) == ["phases/a/dead"]
    manifest = remote.publish(one, "phases/a")
    assert set(remote.uploads("phases/")) == {"phases/a/dead", "phases/a"}
    names = manifests_first(remote.uploads("phases/")["phases/a"])
    assert names[0] == "phases/a/manifest.json"
    assert len(names) == 2 + len(manifest.hashes)


@pytest.mark.parametrize("damage", ["flip", "missing"])
def test_other_bytes_are_noticed(remote: RemoteFolders, tmp_path: Path, damage: str) -> None:
    one = written(tmp_path / "one")
    manifest = remote.publish(one, "phases/a")
    name = f"phases/a/{manifest.upload}/w.safetensors"
    remote.objects.delete([name])
    if damage == "flip":
        content = (one / "w.safetensors").read_bytes()
        (tmp_path / "flipped").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        remote.objects.upload(tmp_path / "flipped", name)
    with pytest.raises(CorruptedError):
        remote.fetch("phases/a", manifest, tmp_path / "two")


def test_a_manifest_that_nobody_wrote(remote: RemoteFolders) -> None:
    texts = (
        "",
        "[]",
        "{}",
        '{"upload": "x", "hashes": {}, "documents": {}}',
        '{"upload": "x", "hashes": {"record.json": "0"}, "documents": {"record.json": "{}"}}',
        '{"upload": "x", "hashes": {"w": "0"}, "documents": {"record.json": "{}"}}',
    )
    for number, text in enumerate(texts):
        remote.objects.put_new(f"phases/{number}/manifest.json", text.encode())
        with pytest.raises(CorruptedError, match=rf"phases/{number}/manifest\.json"):
            remote.manifest(f"phases/{number}")


def test_a_name_that_leads_out_of_the_folder(remote: RemoteFolders, tmp_path: Path) -> None:
    manifest = Manifest("u", {"../w": "0" * 64}, {})
    assert Manifest.parse(manifest.to_bytes()) == manifest
    with pytest.raises(CorruptedError, match="is not a file name"):
        remote.fetch("phases/a", manifest, tmp_path / "in" / "two")
    assert not list(tmp_path.glob("**/w"))


def test_a_folder_removed_as_it_is_written(
    remote: RemoteFolders, object_server, tmp_path: Path
) -> None:
    def sweeps(environ):
        if environ["REQUEST_METHOD"] == "GET" and "manifest" in environ["PATH_INFO"]:
            object_server.fault = lambda environ: None
            remote.objects.delete(["phases/a/manifest.json"])

    object_server.fault = sweeps
    with pytest.raises(AwayError, match="was removed while it was written"):
        remote.publish(written(tmp_path / "one"), "phases/a")
    assert remote.manifest("phases/a") is None
