"""Two machines with a home folder each and one bucket between them."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spaces.bucket import Bucket
from spaces.refusal import AwayError, Refusal
from trainables.encoders.model import state_digest
from trainables.store.object_store import ObjectStore
from trainables.store.phase_store import PhaseRecord
from trainables.store.remote_folders import RemoteFolders
from trainables.store.remote_phases import RemotePhaseStore
from trainables.training.stage import get_or_train

KEY = "a" * 40
Machine = Callable[..., RemotePhaseStore]


def record_of(key: str = KEY, **fields: Any) -> PhaseRecord:
    return PhaseRecord(key=key, parent=None, phase={"seed": 0}, **fields)


def state_of(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"encoder": {"w": torch.full((50,), value)}, "heads": {"coh.b": torch.zeros(2)}}


@pytest.fixture
def remote(bucket: str) -> RemoteFolders:
    return RemoteFolders(ObjectStore(Bucket.parse(bucket, setting="x"), max_attempts=1))


@pytest.fixture
def machine(remote: RemoteFolders, tmp_path: Path) -> Machine:
    """The store of a machine, as a process that was just started opens it."""

    def open_(name: str, owner: str = "tiny") -> RemotePhaseStore:
        return RemotePhaseStore(tmp_path / name, owner=owner, remote=remote)

    return open_


def test_what_one_trains_the_other_finds(machine: Machine, tmp_path: Path, bucket: str) -> None:
    one, two = machine("one"), machine("two")
    record = record_of(num_steps=3, losses=(0.5,))
    assert two.record(KEY) is None
    assert one.commit(record, state_of(1.0)) == record
    assert two.record(KEY) == two.resolve(KEY) == record
    assert not (tmp_path / "two").exists(), "weights come when they are asked for"
    encoder, heads = two.load(KEY)
    assert encoder["w"].tolist() == [1.0] * 50
    assert list(heads) == ["coh.b"]
    assert (tmp_path / "two" / "phases" / KEY / "record.json").exists()
    location = two.location(KEY)
    assert location == one.location(KEY)
    assert location["uri"].startswith(f"{bucket}/phases/{KEY}/")
    assert set(location) == {"uri", "encoder.safetensors", "heads.safetensors", "record.json"}


def test_known_phases_are_asked_for_once(machine: Machine, object_server: Any) -> None:
    machine("one").commit(record_of(), state_of(1.0))
    two = machine("two")
    two.load(KEY)
    object_server.requests.clear()
    for _ in range(3):
        two.record(KEY)
        two.load(KEY)
    assert object_server.requests == []


def test_of_commits_at_once_one_stands_on_all_machines(machine: Machine) -> None:
    def commit(number: int) -> int:
        state = state_of(number)
        return machine(f"{number}").commit(record_of(num_steps=number), state).num_steps

    with ThreadPoolExecutor(4) as pool:
        standing = set(pool.map(commit, range(4)))
    assert len(standing) == 1
    (won,) = standing
    for number in range(4):  # the losers' own are in their caches, until they look
        again = machine(f"{number}")
        assert again.load(KEY)[0]["w"].unique().tolist() == [float(won)]


def test_a_diverged_phase_is_known_everywhere(machine: Machine) -> None:
    machine("one").commit(record_of(reason="loss is nan"), {})
    result = machine("two").record(KEY)
    assert result is not None
    assert result.has_diverged


def test_a_trained_phase_outlives_a_store_that_is_away(machine: Machine, object_server) -> None:
    one = machine("one")
    assert one.record(KEY) is None
    object_server.stop()
    with pytest.raises(AwayError, match="does not answer"):
        one.commit(record_of(num_steps=7), state_of(1.0))
    with pytest.raises(AwayError):
        one.record(KEY)
    object_server.start()
    assert machine("two").record(KEY) is None
    assert machine("one").record(KEY) == record_of(num_steps=7), "published by the next look"
    assert machine("two").load(KEY)[0]["w"].tolist() == [1.0] * 50


def test_phases_trained_before_the_store_was_named_are_brought_there(
    machine: Machine, tmp_path: Path
) -> None:
    from trainables.store.phase_store import PhaseStore

    PhaseStore(tmp_path / "one", owner="tiny").commit(record_of(), state_of(1.0))
    assert machine("two").record(KEY) is None
    assert machine("one").record(KEY) == record_of()
    assert machine("two").record(KEY) == record_of()


def upload_of(remote: RemoteFolders) -> str:
    manifest = remote.manifest(f"phases/{KEY}")
    assert manifest is not None
    return f"phases/{KEY}/{manifest.upload}"


def test_a_damaged_phase_is_refused_in_a_line(
    machine: Machine, remote: RemoteFolders, bucket: str
) -> None:
    machine("one").commit(record_of(), state_of(1.0))
    remote.objects.delete([f"{upload_of(remote)}/encoder.safetensors"])
    with pytest.raises(Refusal, match="is damaged") as refused:
        machine("two").load(KEY)
    assert not isinstance(refused.value, AwayError)
    assert f"delete it (aws s3 rm --recursive {bucket}/phases/{KEY}/)" in str(refused.value)
    assert "\n" not in str(refused.value)
    remote.objects.delete([f"phases/{KEY}/manifest.json"])
    remote.objects.put_new(f"phases/{KEY}/manifest.json", b"{}")
    for ask in (machine("two").record, machine("one").load, machine("one").location):
        with pytest.raises(Refusal, match="is damaged"):
            ask(KEY)
    with pytest.raises(Refusal, match="is damaged"):
        machine("two").stored()


def test_a_damaged_cache_is_refused_in_a_line(machine: Machine, tmp_path: Path) -> None:
    machine("one").commit(record_of(), state_of(1.0))
    (tmp_path / "one" / "phases" / KEY / "encoder.safetensors").write_bytes(b"x")
    with pytest.raises(Refusal, match="delete the folder"):
        machine("one").load(KEY)
    shutil.rmtree(tmp_path / "one" / "phases" / KEY)
    assert machine("one").load(KEY)[0]["w"].tolist() == [1.0] * 50


def test_a_phase_that_somebody_removed_is_gone_not_damaged(
    machine: Machine, remote: RemoteFolders
) -> None:
    machine("one").commit(record_of(), state_of(1.0))
    two = machine("two")
    two.record(KEY)
    remote.remove(remote.objects.listed("phases/"))
    with pytest.raises(AwayError, match="was removed from the phase store"):
        two.load(KEY)
    assert two.record(KEY) is None, "so that the next try trains it"
    with pytest.raises(AwayError, match="was removed from"):
        two.load(KEY)
    with pytest.raises(AwayError, match="was removed from"):
        two.location(KEY)


def test_the_newest_checkpoints_are_kept_and_taken_up(
    machine: Machine, remote: RemoteFolders, tmp_path: Path
) -> None:
    one, two = machine("one"), machine("two", owner="other")
    assert two.newest_checkpoint(KEY) is None
    attempt = one.attempt(KEY)
    for step in (10, 20, 30):
        attempt.save(step, {"model": {"w": torch.full((2,), float(step))}}, {"progress": {}})
    there = {one.name.split("/")[3] for one in remote.objects.listed("attempts/")}
    assert there == {"checkpoint-000000020", "checkpoint-000000030"}
    newest = two.newest_checkpoint(KEY)
    assert newest is not None
    assert newest.is_relative_to(tmp_path / "two" / "attempts" / KEY)
    assert load_file(newest / "model.safetensors")["w"].tolist() == [30.0, 30.0]
    assert two.newest_checkpoint(KEY) == newest, "by now from the cache"
    # the further of a machine's own stays
    two.attempt(KEY).save(40, {"model": {}}, {})
    own = two.newest_checkpoint(KEY)
    assert own is not None
    assert own.name == "checkpoint-000000040"
    # each clears its own away
    two.commit(record_of(), state_of(1.0))
    assert {one.name.split("/")[3] for one in remote.objects.listed("attempts/")} == there
    machine("one").clear_attempts(KEY)
    assert remote.objects.listed("attempts/") == []


def test_damaged_and_foreign_checkpoints_are_passed_over(
    machine: Machine, remote: RemoteFolders, tmp_path: Path
) -> None:
    attempt = machine("one").attempt(KEY)
    for step in (10, 20):
        attempt.save(step, {"model": {"w": torch.ones(2)}}, {})
    attempts = f"attempts/{KEY}"
    newest = f"{attempts}/{attempt.folder.name}/checkpoint-000000020"
    manifest = remote.manifest(newest)
    assert manifest is not None
    remote.objects.delete([f"{newest}/{manifest.upload}/model.safetensors"])
    remote.objects.put_new(f"{attempts}/x-1-2/checkpoint-000000099/manifest.json", b"{}")
    remote.objects.put_new(f"{attempts}/../../out/checkpoint-000000099/manifest.json", b"{}")
    remote.objects.put_new(f"{attempts}/../checkpoint-000000099/manifest.json", manifest.to_bytes())
    result = machine("two").newest_checkpoint(KEY)
    assert result is not None
    assert result.name == "checkpoint-000000010"


def test_what_is_stored_is_listed_and_removed(
    machine: Machine, remote: RemoteFolders, bucket: str
) -> None:
    one = machine("one")
    one.commit(record_of(), state_of(1.0))
    one.attempt("b" * 40).save(10, {"model": {"w": torch.ones(2)}}, {})
    remote.objects.put_new(f"phases/{KEY}/dead/encoder.safetensors", b"12345")
    result = {stored.name: stored for stored in machine("two").stored()}
    phase, dead = f"{bucket}/phases/{KEY}", f"{bucket}/phases/{KEY}/dead"
    assert set(result) == {phase, dead, f"{bucket}/attempts/{'b' * 40}"}
    assert (result[dead].key, result[dead].num_bytes) == (f"{KEY}/dead", 5)
    assert result[phase].key == KEY
    machine("two").remove(result[dead])
    assert machine("three").load(KEY)[0]["w"].tolist() == [1.0] * 50
    machine("two").remove(result[phase])
    assert remote.objects.listed("phases/") == []
    local = {stored.name for stored in one.stored()}
    assert f"phases/{KEY}" in local, "a home's own cache is listed beside it"


def test_a_half_done_phase_is_taken_over_bit_for_bit(
    open_context, make_phase, leave_half_done, tmp_path: Path, bucket: str, object_server, events
) -> None:
    """One machine ends in the middle; another goes on from its checkpoint on the store."""
    phase = make_phase("rel", num_steps=25, max_train_rows=40)
    alone = get_or_train(phase, None, open_context(tmp_path / "alone"), events.append)

    resources = {"phase_store": bucket}
    context = open_context(tmp_path / "one", resources=resources)
    key = context.key_facts.key(phase, None)
    attempt = context.store.attempt(key)
    leave_half_done(phase, context, attempt)
    other = open_context(tmp_path / "two", resources=resources)
    newest = other.store.newest_checkpoint(key)
    assert newest is not None
    assert newest.name == "checkpoint-000000010"
    record = get_or_train(phase, None, other, events.append)
    assert replace(record, seconds=0) == replace(alone, seconds=0)
    for name in ("encoder", "heads"):
        files = [tmp_path / home / "phases" / key for home in ("alone", "two")]
        one, two = (state_digest(load_file(file / f"{name}.safetensors")) for file in files)
        assert one == two
    reported = len(events)
    again = get_or_train(phase, None, open_context(tmp_path / "three", resources=resources), print)
    assert again == record
    assert len(events) == reported
