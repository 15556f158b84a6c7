import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from spaces.refusal import Refusal
from trainables.store.phase_store import PhaseRecord, PhaseStore

KEY = "a" * 40
STATE = {"encoder": {"w": torch.ones(3)}, "heads": {"coh.b": torch.zeros(2)}}


def record_of(key: str = KEY, **fields) -> PhaseRecord:
    return PhaseRecord(key=key, parent=None, phase={"seed": 0}, **fields)


@pytest.fixture
def store(tmp_path: Path) -> PhaseStore:
    return PhaseStore(tmp_path, owner="tiny")


def test_a_committed_phase_is_found(store: PhaseStore) -> None:
    assert store.record(KEY) is None
    assert store.resolve(KEY) is None
    record = record_of(losses=(1.5, 0.5), dev_scores=((5, 0.25),), num_steps=10, best_step=5)
    assert store.commit(record, STATE) == record
    assert store.record(KEY) == record
    assert store.resolve(KEY) == record
    encoder, heads = store.load(KEY)
    assert torch.equal(encoder["w"], torch.ones(3))
    assert list(heads) == ["coh.b"]


def test_a_record_survives_json() -> None:
    record = record_of(losses=(0.1,), dev_scores=((1, 0.5), (2, 0.25)), reason="x", seconds=0.25)
    assert PhaseRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_an_older_record_does_not_say_what_it_was_trained_on() -> None:
    older = record_of().to_dict()
    for name in ("device", "precision", "num_workers", "max_device_tokens"):
        del older[name]
    assert PhaseRecord.from_dict(older) == record_of()


def test_the_first_commit_stands(store: PhaseStore, tmp_path: Path) -> None:
    first, second = record_of(num_steps=1), record_of(num_steps=2)
    assert store.commit(first, STATE) == first
    assert store.commit(second, {"encoder": {}, "heads": {}}) == first
    assert list(store.load(KEY)[0]) == ["w"]
    assert [path.name for path in (tmp_path / "phases").iterdir()] == [KEY]
    assert list((tmp_path / "attempts" / KEY).iterdir()) == []


def test_of_commits_at_once_one_stands_whole(store: PhaseStore) -> None:
    def commit(number: int) -> int:
        state = {"encoder": {"w": torch.full((1000,), float(number))}, "heads": {}}
        return store.commit(record_of(num_steps=number), state).num_steps

    with ThreadPoolExecutor(8) as pool:
        standing = set(pool.map(commit, range(1, 17)))
    assert len(standing) == 1
    encoder, _ = store.load(KEY)
    assert encoder["w"].unique().tolist() == [float(next(iter(standing)))]


@pytest.mark.parametrize("name", ["encoder.safetensors", "heads.safetensors", "record.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "missing"])
def test_a_damaged_phase_is_refused_in_a_line(store, tmp_path, name: str, damage: str) -> None:
    store.commit(record_of(), STATE)
    path = tmp_path / "phases" / KEY / name
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes(whole[:-1] if damage == "cut" else flipped)
    with pytest.raises(Refusal, match="is damaged") as refused:
        store.record(KEY) if name == "record.json" else store.load(KEY)
    assert "delete the folder" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["{}", "[]", '{"key": 1}', '{"losses": 3, "dev_scores": [1]}'])
def test_a_record_of_another_shape_is_refused(store, tmp_path: Path, text: str) -> None:
    store.commit(record_of(), STATE)
    folder = tmp_path / "phases" / KEY
    (folder / "record.json").write_text(text)
    with pytest.raises(Refusal, match="is damaged"):
        store.record(KEY)
    (folder / "hashes.json").unlink()
    with pytest.raises(Refusal, match="is damaged"):
        store.location(KEY)


def test_the_location_has_every_hash(store: PhaseStore, tmp_path: Path) -> None:
    store.commit(record_of(), STATE)
    location = store.location(KEY)
    assert location["uri"] == (tmp_path / "phases" / KEY).as_uri()
    assert set(location) == {"uri", "encoder.safetensors", "heads.safetensors", "record.json"}


def test_a_retried_phase_leads_to_what_was_trained(store: PhaseStore) -> None:
    other = "b" * 40
    store.commit(record_of(other, retry_of=KEY), STATE)
    store.commit(record_of(retried_as=other, reason="loss is nan"), {})
    result = store.resolve(KEY)
    assert result is not None
    assert result.key == other
    assert not result.has_diverged
    first = store.record(KEY)
    assert first is not None
    assert not first.has_diverged
    assert record_of(reason="loss is nan").has_diverged


def test_the_newest_checkpoints_are_kept(store: PhaseStore) -> None:
    attempt = store.attempt(KEY)
    for step in (10, 20, 30, 100):
        attempt.save(step, {"model": STATE["encoder"]}, {"progress": {"step": step}})
    names = sorted(path.name for path in attempt.folder.iterdir())
    assert names == ["checkpoint-000000030", "checkpoint-000000100"]
    assert store.newest_checkpoint(KEY) == attempt.folder / "checkpoint-000000100"


def test_half_written_and_damaged_checkpoints_are_passed_over(store: PhaseStore) -> None:
    assert store.newest_checkpoint(KEY) is None
    old, new = store.attempt(KEY), store.attempt(KEY)
    old.save(10, {"model": STATE["encoder"]}, {})
    new.save(20, {"model": STATE["encoder"]}, {})
    new.save(30, {"model": STATE["encoder"]}, {})
    (new.folder / "writing-x").mkdir()
    (new.folder / "checkpoint-000000040").mkdir()  # nothing in it
    newest = new.folder / "checkpoint-000000030" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert store.newest_checkpoint(KEY) == new.folder / "checkpoint-000000020"
    shutil.rmtree(new.folder)
    assert store.newest_checkpoint(KEY) == old.folder / "checkpoint-000000010"


def test_a_checkpoint_of_another_study_is_taken_up(tmp_path: Path) -> None:
    attempt = PhaseStore(tmp_path, owner="one").attempt(KEY)
    attempt.save(10, {"model": STATE["encoder"]}, {})
    assert PhaseStore(tmp_path, owner="two").newest_checkpoint(KEY) is not None


@pytest.mark.parametrize("other", ["tiny-2", "tiny-x", "other", "tin", "tiny-2-3"])
def test_another_studys_attempts_are_left_alone(store, tmp_path: Path, other: str) -> None:
    theirs = PhaseStore(tmp_path, owner=other).attempt(KEY)
    ours = store.attempt(KEY)
    store.commit(record_of(), STATE)
    assert theirs.folder.is_dir()
    assert not ours.folder.exists()


@pytest.mark.parametrize(
    ("losses", "fell"),
    [
        ((), True),
        ((1.0, 2.0, 3.0), True),  # too few to say
        ((2.0, 1.0, 1.0, 1.9), True),
        ((1.0, 0.5, 0.5, 1.0), False),
        ((1.0,) * 40, False),
        ((1.0, 0.9) + (2.0,) * 16 + (0.8, 0.9), True),
    ],
)
def test_whether_the_loss_fell(losses: tuple[float, ...], fell: bool) -> None:
    assert record_of(losses=losses).loss_fell is fell


def test_records_hold_numbers_alone(store: PhaseStore) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        store.commit(record_of(losses=(math.nan,)), STATE)
    assert store.record(KEY) is None


def test_what_is_stored_is_listed_and_removed(tmp_path: Path) -> None:
    store = PhaseStore(tmp_path, owner="gc")
    assert store.stored() == []
    deep = "attempts/b/attempt/checkpoint-1"
    for name in ("phases/a", "attempts/a", deep, "outcomes/a", "outcomes/encoder-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("12345")
    result = {(one.kind, one.key): one for one in store.stored()}
    rest = {("attempts", "a"), ("attempts", "b"), ("outcomes", "a")}
    assert set(result) == {("phases", "a"), *rest}
    assert {one.num_bytes for one in result.values()} == {5}
    store.remove(result["phases", "a"])
    assert {(one.kind, one.key) for one in store.stored()} == rest
    assert not list(tmp_path.glob("attempts/removing-*"))
