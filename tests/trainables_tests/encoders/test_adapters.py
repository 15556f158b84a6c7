from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.adapters import add_adapters, check_adaptable
from trainables.encoders.model import state_digest
from trainables.store.folders import write_folder
from trainables.training.key_facts import KeyFacts
from trainables.training.loop import Saving
from trainables.training.stage import get_or_train, model_after

ADAPTED = {"lora_rank": 4, "learning_rate": 1e-2}


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_merged_weights_say_what_the_adapters_said(tiny_encoder: Any) -> None:
    ids = torch.randint(5, 100, (3, 12), generator=torch.Generator().manual_seed(0))
    before, plain = state_of(tiny_encoder), tiny_encoder(ids).last_hidden_state
    merge = add_adapters(tiny_encoder, 4, seed=0)
    assert torch.equal(tiny_encoder(ids).last_hidden_state, plain), "they add nothing yet"
    trained = {name: p for name, p in tiny_encoder.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * 2, "two matrices beside two projections in two layers"
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.3)
    adapted = tiny_encoder(ids).last_hidden_state
    assert (adapted - plain).abs().max() > 0.01
    merge()
    torch.testing.assert_close(tiny_encoder(ids).last_hidden_state, adapted)
    assert changed(state_of(tiny_encoder), before) == {
        f"encoder.layer.{layer}.attention.self.{name}.weight"
        for layer in (0, 1)
        for name in ("query", "value")
    }


def test_adapters_are_drawn_from_the_seed(base: Any) -> None:
    def drawn(seed: int) -> str:
        model = base.model([], encoder=None, seed=0)
        add_adapters(model.encoder, 4, seed=seed)
        return state_digest(model.encoder.state_dict())

    torch.manual_seed(5)
    first = drawn(0)
    assert (drawn(0), drawn(1)) != (first, first)
    assert drawn(0) == first


def test_adapters_and_heads_alone_are_trained(base, make_phase, make_features, train) -> None:
    features = make_features("rel")
    phase = make_phase("rel", num_steps=30, batch_size=16, **ADAPTED)
    model, progress = train(phase, features)
    assert progress.losses[-1] < progress.losses[0]
    start = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    moved = changed(model.encoder.state_dict(), start.encoder.state_dict())
    assert {name.rpartition(".attention.self.")[2] for name in moved} == {
        "query.weight",
        "value.weight",
    }
    assert len(changed(model.heads.state_dict(), start.heads.state_dict())) > 1
    # frozen layers have no adapters that move
    frozen = replace(phase, recipe=replace(phase.recipe, num_frozen_layers=1, num_steps=3))
    model, _ = train(frozen, features)
    moved = changed(model.encoder.state_dict(), start.encoder.state_dict())
    assert {name.split(".")[2] for name in moved} == {"1"}


def test_a_resumed_phase_ends_like_the_undisturbed_one(
    tmp_path: Path, make_phase, make_features, train
) -> None:
    """Early stopping too: the best adapters are kept, and merged at the end."""
    features = make_features("rel")
    phase = make_phase("rel", num_steps=25, evaluate_every=5, **ADAPTED)
    scores = {"dev_score": lambda model: float(model.heads["rel"].dense.weight.detach()[0, 0] % 1)}

    def save(step: int, tensors: Any, documents: Any) -> None:
        write_folder(tmp_path / f"{step}", tensors, documents)

    whole, expected = train(phase, features, saving=Saving(save=save, every_seconds=0), **scores)
    for step in (10, 20):
        saving = Saving(save=lambda *_: None, every_seconds=1e9, resume=tmp_path / f"{step}")
        model, progress = train(phase, features, saving=saving, **scores)
        assert not changed(state_of(model), state_of(whole))
        assert replace(progress, seconds=0) == replace(expected, seconds=0)


def test_the_key_is_of_the_rank_and_without_one_as_it_was(make_phase) -> None:
    world = KeyFacts("w", "t")
    plain = make_phase("rel")
    keys = {world.key(make_phase("rel", lora_rank=rank), None) for rank in (None, 4, 8)}
    assert len(keys) == 3
    assert world.key(plain, None) in keys
    assert "lora_rank" not in plain.to_dict()["recipe"]
    adapted = make_phase("rel", lora_rank=4)
    assert type(adapted).from_dict(adapted.to_dict(), SHIPPED) == adapted


def test_what_a_phase_leaves_is_an_encoder_as_any_other(open_context, make_phase, events) -> None:
    context = open_context()
    options = {"num_steps": 4, "max_train_rows": 30}
    intermediate = get_or_train(
        make_phase("rel", **ADAPTED, **options), None, context, events.append
    )
    encoder, _ = context.store.load(intermediate.key)
    assert encoder.keys() == context.base.encoder.state_dict().keys()
    assert state_digest(encoder) != context.base.weights_digest
    model = model_after(intermediate.key, (SHIPPED.get("rel"),), context)
    assert state_digest(model.encoder.state_dict()) == state_digest(encoder)
    after = get_or_train(make_phase("coh", **options), intermediate.key, context, events.append)
    assert after.parent == intermediate.key


def test_encoders_that_cannot_be_adapted() -> None:
    known = SimpleNamespace(model_type="xlm-roberta", hidden_size=32)
    check_adaptable(known, None, key="lora_rank")
    check_adaptable(known, 31, key="lora_rank")
    with pytest.raises(Refusal, match="lora_rank is 32, but the encoder is only 32 wide"):
        check_adaptable(known, 32, key="lora_rank")
    strange = SimpleNamespace(model_type="my-own", hidden_size=32)
    with pytest.raises(Refusal, match="the projections of a 'my-own' encoder are not known"):
        check_adaptable(strange, 4, key="lora_rank")


def test_a_study_that_its_encoder_cannot_serve(open_context) -> None:
    recipe = {"num_steps": 1, "batch_size": 4, "max_length": 64, "lora_rank": 99}
    with pytest.raises(Refusal, match="lora_rank is 99"):
        open_context(training={"target": recipe})
    with pytest.raises(Refusal, match=r"a rank of space\.lora is 99"):
        open_context(space={"lora": {"ranks": [99]}})
