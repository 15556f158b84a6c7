"""Against a real S3 server over HTTP."""

from pathlib import Path

import pytest

from spaces.bucket import Bucket
from spaces.refusal import AwayError, Refusal
from trainables.store.object_store import ObjectStore
from trainables.store.stores import check_store


def opened(address: str, *, max_attempts: int = 1) -> ObjectStore:
    return ObjectStore(Bucket.parse(address, setting="x"), max_attempts=max_attempts)


def test_bytes_go_and_come(bucket: str, tmp_path: Path) -> None:
    store = opened(bucket)
    (tmp_path / "file").write_bytes(b"\x00\x01" * 1000)
    store.upload(tmp_path / "file", "a/b/file")
    store.download("a/b/file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"\x00\x01" * 1000
    assert store.read("a/b/file") == b"\x00\x01" * 1000
    assert store.read("a/b/other") is None
    with pytest.raises(FileNotFoundError, match="a/b/other"):
        store.download("a/b/other", tmp_path / "none")
    (result,) = store.listed("a/")
    assert (result.name, result.num_bytes) == ("a/b/file", 2000)
    assert opened(bucket.removesuffix("/team")).read("team/a/b/file") is not None
    store.delete(["a/b/file", "a/b/other"])
    assert store.listed("") == []
    assert store.uri("a") == f"{bucket}/a"


def test_a_second_writer_is_told_so(bucket: str) -> None:
    store = opened(bucket)
    assert store.put_new("name", b"first")
    assert not store.put_new("name", b"second")
    assert store.read("name") == b"first"


def test_a_store_that_can_be_used(bucket: str) -> None:
    for _ in range(2):
        check_store(bucket)
    check_store(None)
    assert [one.name for one in opened(bucket).listed("")] == ["store"]


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    name = bucket.removeprefix("s3://").partition("/")[0]
    with pytest.raises(Refusal, match=rf"unknown bucket .* Did you mean '{name}'\?.* Create it"):
        opened(f"s3://{name}x").check()


def test_a_server_that_is_not_there(object_server, bucket: str) -> None:
    store = opened(bucket)
    object_server.stop()
    with pytest.raises(AwayError, match=r"does not answer .*AWS_ENDPOINT_URL_S3"):
        store.check()


def test_no_keys(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwayError, match="needs keys, but none are set: set AWS_ACCESS_KEY_ID"):
        opened(bucket).check()


def test_keys_that_may_not(object_server, bucket: str) -> None:
    object_server.fault = lambda environ: "403 Access Denied"
    with pytest.raises(AwayError, match=r"denies access \(AccessDenied\): .*s3:PutObject"):
        opened(bucket).check()


def test_a_server_without_conditional_writes(object_server, bucket: str) -> None:
    object_server.fault = lambda environ: environ.pop("HTTP_IF_NONE_MATCH", None) and None
    with pytest.raises(Refusal, match="has no conditional writes") as refused:
        opened(bucket).check()
    assert not isinstance(refused.value, AwayError)


def test_an_address_of_a_server_that_is_none(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no address")
    with pytest.raises(Refusal, match="no address"):
        opened(bucket)


def test_what_is_soon_mended_is_tried_again(object_server, bucket: str) -> None:
    answers = ["503 Slow Down", "500 Internal Error"]
    object_server.fault = lambda environ: answers.pop() if answers else None
    assert opened(bucket, max_attempts=4).put_new("name", b"x")
    assert answers == []
    conflicts = ["409 Conditional Request Conflict"]
    object_server.fault = lambda environ: conflicts.pop() if conflicts else None
    assert opened(bucket).put_new("other", b"x")
    object_server.fault = lambda environ: "503 Slow Down"
    with pytest.raises(AwayError, match="SlowDown"):
        opened(bucket).read("name")
