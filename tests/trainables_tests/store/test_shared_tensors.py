"""Tensors that several phases have in common, in the home folder and on an object store."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaces.bucket import Bucket
from spaces.refusal import Refusal
from trainables.encoders.model import state_digest
from trainables.store.object_store import ObjectStore
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.store.remote_folders import RemoteFolders
from trainables.store.remote_phases import RemotePhaseStore
from trainables.store.shared_tensors import MIN_SHARE, digest_in, split
from trainables.training.stage import get_or_train

ONE, TWO = "a" * 40, "b" * 40
FROZEN = frozenset({"embeddings"})


def record_of(key: str) -> PhaseRecord:
    return PhaseRecord(key=key, parent=None, phase={"seed": 0})


def tensors_of(value: float, *, embeddings: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    encoder = {
        "embeddings": torch.full((500,), embeddings),
        "layer": torch.full((50,), float(value)),
    }
    return {"encoder": encoder, "heads": {"coh.b": torch.zeros(2)}}


@pytest.fixture
def store(tmp_path: Path) -> PhaseStore:
    return PhaseStore(tmp_path, owner="tiny")


def commit_two(store: PhaseStore) -> None:
    for number, key in enumerate((ONE, TWO)):
        store.commit(record_of(key), tensors_of(float(number)), unchanged=FROZEN)


def test_two_phases_store_what_neither_trained_once(store: PhaseStore, tmp_path: Path) -> None:
    commit_two(store)
    (only,) = (tmp_path / "tensors").iterdir()
    for number, key in enumerate((ONE, TWO)):
        assert digest_in(tmp_path / "phases" / key) == only.name
        assert state_digest(store.load(key)[0]) == state_digest(tensors_of(number)["encoder"])
    sizes = {entry.name: entry.num_bytes for entry in store.stored()}
    assert sizes[f"tensors/{only.name}"] > 2000 > sizes[f"phases/{ONE}"]
    assert {entry.shares for entry in store.stored()} == {only.name, None}
    assert "shared.json" in store.location(ONE), "the record knows the digest of what is shared"


def test_a_phase_of_older_code_has_all_tensors_itself(store: PhaseStore, tmp_path: Path) -> None:
    store.commit(record_of(ONE), tensors_of(0.0))
    assert not (tmp_path / "tensors").exists()
    assert digest_in(tmp_path / "phases" / ONE) is None
    assert state_digest(store.load(ONE)[0]) == state_digest(tensors_of(0.0)["encoder"])


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 40)), st.data())
def test_no_tensor_is_lost_and_few_are_not_shared(sizes: dict[str, int], data: Any) -> None:
    state = {name: torch.zeros(size) for name, size in sizes.items()}
    unchanged = set(data.draw(st.lists(st.sampled_from([*sizes, "unknown"]))))
    own, shared = split(state, unchanged)
    assert own.keys() | shared.keys() == state.keys()
    assert not own.keys() & shared.keys()
    assert shared.keys() <= unchanged
    num_shared = sum(sizes[name] for name in unchanged & sizes.keys())
    if shared:
        assert num_shared >= MIN_SHARE * sum(sizes.values())


@pytest.mark.parametrize("damage", ["cut", "flip", "missing", "no folder"])
def test_damaged_shared_tensors_are_refused_in_a_line(
    store: PhaseStore, tmp_path: Path, damage: str
) -> None:
    commit_two(store)
    (path,) = tmp_path.glob("tensors/*/tensors.safetensors")
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "no folder":
        shutil.rmtree(path.parent)
    else:
        path.write_bytes(whole[:-1] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Refusal, match="is damaged") as refused:
        store.load(ONE)
    assert f"{tmp_path / 'phases' / ONE} and {path.parent}" in str(refused.value)
    assert "\n" not in str(refused.value)
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.rmtree(tmp_path / "phases" / ONE)
    store.commit(record_of(ONE), tensors_of(0.0), unchanged=FROZEN)
    assert state_digest(store.load(TWO)[0]) == state_digest(tensors_of(1.0)["encoder"])


@pytest.mark.parametrize("text", ["{}", "[]", "x", '{"encoder": "../../x"}', '{"encoder": 1}'])
def test_a_digest_never_leads_out_of_the_store(store: PhaseStore, tmp_path: Path, text) -> None:
    commit_two(store)
    (tmp_path / "phases" / ONE / "shared.json").write_text(text)
    for ask in (lambda: store.load(ONE), store.stored):
        with pytest.raises(Refusal, match="is damaged"):
            ask()


def test_phases_that_froze_their_embeddings_share_them(
    open_context: Callable[..., Any], make_phase: Callable[..., Any], tmp_path: Path, events
) -> None:
    """The first phase freezes embeddings and a layer; the second, which starts from it, the
    embeddings alone; the third trains all. Each ends as in a store without sharing."""
    context = open_context(tmp_path)
    recipe = {"num_steps": 3, "max_train_rows": 30}
    first = get_or_train(
        make_phase("rel", num_frozen_layers=1, **recipe), None, context, events.append
    )
    second = get_or_train(
        make_phase("fact", num_frozen_layers=0, **recipe), first.key, context, events.append
    )
    third = get_or_train(make_phase("fact", **recipe), first.key, context, events.append)
    keys = [record.key for record in (first, second, third)]
    digests = [digest_in(tmp_path / "phases" / key) for key in keys]
    assert None not in digests[:2]
    assert digests[0] != digests[1], "the first shares a layer more"
    assert digests[2] is None
    base = context.base.encoder.state_dict()
    states = [context.store.load(key)[0] for key in keys]
    for state in states:
        assert state.keys() == base.keys()
    embeddings = "embeddings.word_embeddings.weight"
    assert torch.equal(states[1][embeddings], base[embeddings])
    assert not torch.equal(states[2][embeddings], base[embeddings])


def test_adapters_change_weights_that_were_frozen(
    open_context: Callable[..., Any], make_phase: Callable[..., Any], tmp_path: Path, events
) -> None:
    context = open_context(tmp_path)
    phase = make_phase("rel", num_steps=3, max_train_rows=30, lora_rank=2, learning_rate=0.05)
    record = get_or_train(phase, None, context, events.append)
    state, base = context.store.load(record.key)[0], context.base.encoder.state_dict()
    changed = {name for name in base if not torch.equal(base[name], state[name])}
    assert changed
    assert all("query" in name or "value" in name for name in changed)
    assert digest_in(tmp_path / "phases" / record.key) is not None


def test_another_machine_finds_what_phases_share(bucket: str, tmp_path: Path) -> None:
    remote = RemoteFolders(ObjectStore(Bucket.parse(bucket, setting="x"), max_attempts=1))
    one, two = (
        RemotePhaseStore(tmp_path / name, owner="tiny", remote=remote) for name in ("one", "two")
    )
    commit_two(one)
    for number, key in enumerate((ONE, TWO)):
        assert state_digest(two.load(key)[0]) == state_digest(tensors_of(number)["encoder"])
    (only,) = (tmp_path / "two" / "tensors").iterdir()
    stored = {entry.name.removeprefix(bucket).strip("/"): entry for entry in one.stored()}
    assert stored[f"tensors/{only.name}"].num_bytes > 2000
    assert {stored[f"phases/{key}"].shares for key in (ONE, TWO)} == {only.name}
    one.remove(next(e for e in one.stored() if e.kind == "tensors" and e.name.startswith(bucket)))
    fresh = RemotePhaseStore(tmp_path / "three", owner="tiny", remote=remote)
    with pytest.raises(Refusal, match="is damaged"):
        fresh.load(ONE)
