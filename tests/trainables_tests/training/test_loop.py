import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from spaces.phases import Phase, Recipe
from spaces.study_file.sections import Precision
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.encoders.model import BaseEncoder, TransferModel
from trainables.formats.base import Batch
from trainables.formats.kinds import format_of_kind
from trainables.store.folders import check_folder, write_folder
from trainables.training.batches import Steps, shard
from trainables.training.loop import (
    READ_EVERY,
    Callbacks,
    DivergedError,
    Progress,
    Saving,
    _backward,
    build_optimizer,
    rate_factor,
    train_phase,
)
from trainables.training.workers import Workers

TRAINED = [kind for kind in TaskKind if kind is not TaskKind.RETRIEVAL]


def state_of(model: TransferModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize("kind", TRAINED)
def test_the_loss_falls(kind, task_of_kind, make_phase, make_features, train) -> None:
    name = task_of_kind(kind)
    phase = make_phase(name, learning_rate=5e-3, num_steps=30, batch_size=16)
    _, progress = train(phase, make_features(name))
    assert len(progress.losses) == 3
    assert progress.losses[-1] < 0.9 * progress.losses[0]


def test_what_is_counted(make_phase, make_features, train, tokenizer) -> None:
    phase, features = make_phase("rel", num_steps=7), make_features("rel")
    _, progress = train(phase, features)
    steps = Steps(phase, features, tokenizer, start=0)
    read = [steps.read(step) for step in range(7)]
    assert progress.step == 7
    assert progress.num_examples == sum(len(step.sizes) for step in read)
    assert progress.num_tokens == sum(step.batch.input_ids.numel() for step in read)
    assert progress.num_useful_tokens == sum(int(step.batch.attention_mask.sum()) for step in read)
    assert progress.best_step == 7
    assert progress.seconds > 0


def test_a_phase_is_a_function_of_its_seed(make_phase, make_features, train) -> None:
    features = make_features("rel")
    phase = make_phase("rel", num_steps=5)
    first, _ = train(phase, features)
    torch.manual_seed(99)
    second, _ = train(phase, features)
    other, _ = train(replace(phase, seed=1), features)
    assert_equal(state_of(first), state_of(second))
    assert not torch.equal(first.heads["rel"].dense.weight, other.heads["rel"].dense.weight)


@pytest.mark.parametrize("kind", TRAINED)
def test_gradients_of_micro_batches_add_up(
    kind, task_of_kind, base, make_phase, make_features, tokenizer
) -> None:
    name = task_of_kind(kind)
    step = Steps(make_phase(name), make_features(name), tokenizer, start=0).read(0)
    model, task_format = (
        base.model([SHIPPED.get(name)], encoder=None, seed=0).eval(),
        format_of_kind(kind),
    )
    num_items = task_format.num_items(step.batch)

    def gradients(parts: list[Batch]) -> list[Tensor]:
        model.zero_grad()
        for part in parts:
            (task_format.loss(model.heads[name], model(part)[0], part) / num_items).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    parts = shard(step.batch, step.sizes, rank=0, size=1, max_tokens=60)
    assert len(parts) > 1
    for one, other in zip(gradients([step.batch]), gradients(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_micro_batches_change_no_loss(make_phase, make_features, train) -> None:
    phase, features = make_phase("rel", "fact", num_steps=20), make_features("rel", "fact")
    _, whole = train(phase, features)
    _, parts = train(phase, features, max_device_tokens=1)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-3)
    assert replace(parts, losses=[], seconds=0) == replace(whole, losses=[], seconds=0)


# ---- what an equal key promises (Phase.key)


def largest_difference(one: TransferModel, other: TransferModel) -> float:
    states = state_of(one), state_of(other)
    return max(float((states[0][name] - states[1][name]).abs().max()) for name in states[0])


@pytest.mark.parametrize("has_dropout", [False, True])
def test_cut_alike_a_phase_is_trained_alike_to_the_last_bit(
    has_dropout: bool, base, dropping_base, make_phase, make_features, train
) -> None:
    encoder, phase = dropping_base if has_dropout else base, make_phase("rel", num_steps=20)
    features = make_features("rel")
    models = [encoder.model([SHIPPED.get("rel")], encoder=None, seed=phase.draws) for _ in range(2)]
    for number, model in enumerate(models):
        torch.manual_seed(number)
        train(phase, features, model=model, max_device_tokens=200)
    assert largest_difference(*models) == 0


def test_cut_otherwise_only_dropout_tells(
    base, dropping_base, make_phase, make_features, train
) -> None:
    """Without it, by rounding; with it, other masks are drawn, and 20 steps of Adam at this rate
    may move a weight by 0.01."""
    phase, features = make_phase("rel", num_steps=20, learning_rate=5e-4), make_features("rel")
    result = []
    for encoder in (base, dropping_base):
        models = [
            encoder.model([SHIPPED.get("rel")], encoder=None, seed=phase.draws) for _ in range(2)
        ]
        for model, max_tokens in zip(models, (16_384, 200), strict=True):
            train(phase, features, model=model, max_device_tokens=max_tokens)
        result.append(largest_difference(*models))
    assert result[0] < 1e-4 < 1e-3 < result[1]


@pytest.mark.parametrize("kind", TRAINED)
def test_a_head_is_trained_in_float32_whatever_the_encoder_computes_in(
    kind, task_of_kind, base, make_phase, make_features, tokenizer
) -> None:
    name = task_of_kind(kind)
    step = Steps(make_phase(name), make_features(name), tokenizer, start=0).read(0)
    model, seen = base.model([SHIPPED.get(name)], encoder=None, seed=0), {}
    head = model.heads[name]
    layer = next(module for module in head.modules() if isinstance(module, torch.nn.Linear))
    query = model.encoder.encoder.layer[0].attention.self.query
    layer.register_forward_hook(lambda _, given, out: seen.update(head=out.dtype))
    query.register_forward_hook(lambda _, given, out: seen.update(encoder=out.dtype))
    workers = replace(Workers.alone(torch.device("cpu")), precision=Precision.BF16)
    _backward(model.encoder, model.heads, step, workers, 16_384)
    assert seen == {"encoder": torch.bfloat16, "head": torch.float32}
    assert all(p.grad.dtype is torch.float32 for p in head.parameters() if p.grad is not None)


# ---- resuming


def dev_score(model: TransferModel) -> float:
    """Any pure function of the weights that goes up and down."""
    return float(model.heads["rel"].dense.weight.detach().abs().sum().double() * 1e3 % 1)


def run(
    base: BaseEncoder,
    phase: Phase,
    features: Any,
    *,
    save: Callable[..., None] = lambda *_: None,
    resume: Path | None = None,
    every_seconds: float = 0.0,
) -> tuple[TransferModel, Progress]:
    tasks = [source.task for source in phase.mixture.sources]
    model = base.model(tasks, encoder=None, seed=phase.seed)
    progress = train_phase(
        model,
        phase,
        features,
        tokenizer=base.tokenizer,
        workers=Workers.alone(),
        max_device_tokens=300,
        callbacks=Callbacks(dev_score=dev_score),
        saving=Saving(save=save, every_seconds=every_seconds, resume=resume),
    )
    return model, progress


@pytest.mark.parametrize("kind", [None, TaskKind.MLM])
def test_a_resumed_phase_ends_like_the_undisturbed_one(
    tmp_path: Path, dropping_base, make_phase, make_features, task_of_kind, kind
) -> None:
    names = ["rel", "fact"] if kind is None else ["rel", task_of_kind(kind)]
    # evaluated in between, so that the state of early stopping has to be kept too
    phase = make_phase(*names, num_steps=45, evaluate_every=5, patience=6)
    features = make_features(*names)

    def save(step: int, tensors: Any, documents: Any) -> None:
        write_folder(tmp_path / f"{step}", tensors, documents)

    whole, expected = run(dropping_base, phase, features, save=save)
    saved = sorted(int(path.name) for path in tmp_path.iterdir())
    assert saved[:3] == [10, 20, 30]
    assert len(expected.dev_scores) > 6
    for step in saved:
        check_folder(tmp_path / f"{step}")
        model, progress = run(dropping_base, phase, features, resume=tmp_path / f"{step}")
        assert_equal(state_of(model), state_of(whole))
        assert replace(progress, seconds=0) == replace(expected, seconds=0)
        assert progress.seconds > 0


def test_a_phase_saved_at_its_end_is_over(tmp_path, base, make_phase, make_features) -> None:
    phase, features = make_phase("rel", num_steps=10), make_features("rel")
    whole, expected = run(
        base, phase, features, save=lambda step, *rest: write_folder(tmp_path / f"{step}", *rest)
    )
    model, progress = run(base, phase, features, resume=tmp_path / "10")
    assert_equal(state_of(model), state_of(whole))
    assert progress.step == 10
    assert progress.losses == expected.losses


def test_nothing_is_saved_before_its_time(base, make_phase, make_features) -> None:
    saved: list[int] = []
    phase = make_phase("rel", num_steps=20)
    run(base, phase, make_features("rel"), save=lambda s, *_: saved.append(s), every_seconds=1e9)
    assert saved == []


# ---- early stopping


def stopping(
    scores: list[float], train, make_phase, make_features, **recipe: Any
) -> tuple[TransferModel, Progress, list[dict[str, Tensor]]]:
    """Train with planted dev scores; also the weights at each of them."""
    seen: list[dict[str, Tensor]] = []

    def planted(model: TransferModel) -> float:
        seen.append(state_of(model))
        return scores[len(seen) - 1]

    phase = make_phase("rel", num_steps=30, evaluate_every=3, **recipe)
    model, progress = train(phase, make_features("rel"), dev_score=planted)
    return model, progress, seen


def test_training_stops_and_the_best_weights_are_restored(train, make_phase, make_features) -> None:
    scores = [0.1, 0.5, 0.3, 0.5, 0.2, 0.9]
    model, progress, seen = stopping(scores, train, make_phase, make_features, patience=3)
    assert progress.step == 15
    assert progress.dev_scores == [(3, 0.1), (6, 0.5), (9, 0.3), (12, 0.5), (15, 0.2)]
    assert progress.best_step == 6  # the first of equals
    assert_equal(state_of(model), seen[1])
    assert len(progress.losses) == 2  # of ten steps, and of the five after them


def test_without_patience_all_steps_are_taken(train, make_phase, make_features) -> None:
    scores = [0.1, 0.9] + [0.2] * 8
    model, progress, seen = stopping(scores, train, make_phase, make_features)
    assert (progress.step, progress.best_step) == (30, 6)
    assert_equal(state_of(model), seen[1])


def test_a_loss_that_diverges_before_an_early_stop_is_noticed(
    train, make_phase, make_features, base
) -> None:
    phase = make_phase("rel", num_steps=30, evaluate_every=2, patience=1)
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    with torch.no_grad():
        model.heads["rel"].out_proj.weight.fill_(math.inf)
    with pytest.raises(DivergedError, match="by step 4 of 30"):
        train(phase, make_features("rel"), model=model)


# ---- divergence


@pytest.mark.parametrize("planted", [math.inf, math.nan])
@pytest.mark.parametrize("part", ["encoder", "heads"])
def test_a_loss_that_is_no_number_is_told(
    train, make_phase, make_features, base, part: str, planted: float
) -> None:
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    with torch.no_grad():
        next(getattr(model, part).parameters()).fill_(planted)
    with pytest.raises(DivergedError, match=r"loss is nan by step 10 of 30 on rel at .* 0\.9"):
        train(make_phase("rel", learning_rate=0.9), make_features("rel"), model=model)


def test_a_rate_that_is_too_large_is_told(train, make_phase, make_features) -> None:
    """Decay of more than twice the weights at every step: they double, with signs turned."""
    phase = make_phase(
        "rel", learning_rate=0.9, weight_decay=1e6, warmup_share=0.0, num_steps=30, batch_size=2
    )
    with pytest.raises(DivergedError, match=r"learning rate 0\.9"):
        train(phase, make_features("rel"))


def test_a_last_update_that_spoils_the_weights_is_told(
    train, make_phase, make_features, base
) -> None:
    """The loss of the only step is a number; its gradient is not."""
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    model.heads["rel"].out_proj.weight.register_hook(lambda grad: grad * math.nan)
    with pytest.raises(DivergedError, match="weights are infinite or not a number"):
        train(make_phase("rel", num_steps=1), make_features("rel"), model=model)


# ---- what a phase leaves


@pytest.mark.parametrize("num_frozen_layers", [None, 0, 1, 2])
def test_frozen_layers_stay_as_they_are(
    num_frozen_layers: int | None, base, make_phase, make_features, train
) -> None:
    before = base.encoder.state_dict()
    phase = make_phase("rel", num_steps=3, num_frozen_layers=num_frozen_layers)
    model, _ = train(phase, make_features("rel"))
    moved = {
        name.removeprefix("encoder.layer.").split(".")[0]
        for name, value in model.encoder.state_dict().items()
        if not torch.equal(value, before[name])
    }
    frozen = {None: set(), 0: {"embeddings"}, 1: {"embeddings", "0"}, 2: {"embeddings", "0", "1"}}
    assert moved == {"embeddings", "0", "1"} - frozen[num_frozen_layers]
    assert all(p.requires_grad for p in base.encoder.parameters()), "a trial freezes its own copy"


def test_heads_that_are_not_trained_stay_as_they_are(
    train, make_phase, make_features, base
) -> None:
    model = base.model([SHIPPED.get("rel"), SHIPPED.get("fact")], encoder=None, seed=0)
    before = state_of(model)
    train(make_phase("rel", num_steps=3), make_features("rel"), model=model)
    after = model.state_dict()
    assert torch.equal(before["heads.fact.dense.weight"], after["heads.fact.dense.weight"])
    assert not torch.equal(before["heads.rel.dense.weight"], after["heads.rel.dense.weight"])
    moved = [n for n in before if n.startswith("encoder.") and not torch.equal(before[n], after[n])]
    assert len(moved) > 20


def test_the_encoder_crosses_a_phase_boundary_and_heads_do_not(
    train, make_phase, make_features, base
) -> None:
    first, _ = train(make_phase("rel", num_steps=5), make_features("rel"))
    second = base.model(
        [SHIPPED.get("rel"), SHIPPED.get("coh")], encoder=first.encoder.state_dict(), seed=0
    )
    assert_equal(
        {k: v for k, v in state_of(second).items() if k.startswith("encoder.")},
        {k: v for k, v in state_of(first).items() if k.startswith("encoder.")},
    )
    fresh = base.model([SHIPPED.get("rel"), SHIPPED.get("coh")], encoder=None, seed=0)
    for name in ("rel", "coh"):
        assert torch.equal(second.heads[name].dense.weight, fresh.heads[name].dense.weight)
    assert not torch.equal(second.heads["rel"].dense.weight, first.heads["rel"].dense.weight)


# ---- the schedule and the optimizer


def test_the_rate_warms_up_and_decays() -> None:
    recipe = Recipe(num_steps=10, batch_size=1, max_length=8, warmup_share=0.4)
    factors = [rate_factor(recipe, step) for step in range(10)]
    by_hand = [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert factors == pytest.approx(by_hand)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
def test_every_step_has_a_rate_above_zero_and_not_above_one(warmup: float, num_steps: int) -> None:
    recipe = Recipe(num_steps=num_steps, batch_size=1, max_length=8, warmup_share=warmup)
    factors = [rate_factor(recipe, step) for step in range(num_steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1
    top = factors.index(1)
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_biases_and_norms_do_not_decay(base) -> None:
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    recipe = Recipe(num_steps=1, batch_size=1, max_length=8, weight_decay=0.25)
    decayed, others = build_optimizer(model, recipe).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.25, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    for parameter in others["params"]:
        assert names[id(parameter)].endswith("bias") or "LayerNorm" in names[id(parameter)]
    assert len(decayed["params"]) + len(others["params"]) == len(names)


@pytest.mark.parametrize(
    ("scores", "patience", "best", "over"),
    [
        ([], 1, 0, False),
        ([(5, 0.1)], 1, 5, False),
        ([(5, 0.1), (10, 0.1)], 1, 5, True),
        ([(5, 0.1), (10, 0.2)], 1, 10, False),
        ([(5, 0.3), (10, 0.2), (15, 0.2)], 3, 5, False),
        ([(5, 0.3), (10, 0.2), (15, 0.3), (20, 0.1)], 3, 5, True),
        ([(5, 0.3), (10, 0.2)], None, 5, False),
    ],
)
def test_when_patience_ends(scores, patience, best: int, over: bool) -> None:
    recipe = Recipe(num_steps=100, batch_size=1, max_length=8, evaluate_every=5, patience=patience)
    progress = Progress(step=scores[-1][0] if scores else 0, dev_scores=scores)
    assert progress.best_step == best
    assert progress.is_over(recipe) is over


def test_losses_are_read_seldom(make_phase, make_features, train) -> None:
    _, progress = train(make_phase("rel", num_steps=READ_EVERY * 2 + 3), make_features("rel"))
    assert len(progress.losses) == 3


# ---- frozen weights in checkpoints


def test_a_checkpoint_has_no_frozen_tensors_and_older_ones_are_read(
    tmp_path: Path, base, make_phase, make_features
) -> None:
    phase = make_phase("rel", num_steps=20, num_frozen_layers=1, evaluate_every=5)
    features = make_features("rel")

    def save(step: int, tensors: Any, documents: Any) -> None:
        write_folder(tmp_path / f"{step}", tensors, documents)
        full = {**state_of(whole_model), **tensors["model"]}
        write_folder(tmp_path / f"old-{step}", {**tensors, "model": full}, documents)

    whole_model = base.model([SHIPPED.get("rel")], encoder=None, seed=phase.seed)
    whole, expected = run(base, phase, features, save=save)
    names = load_file(tmp_path / "10" / "model.safetensors").keys()
    assert names < state_of(whole).keys()
    assert not any("embeddings" in name for name in names)
    assert load_file(tmp_path / "10" / "best.safetensors").keys() == names
    for folder in ("10", "old-10"):
        model, progress = run(base, phase, features, resume=tmp_path / folder)
        assert_equal(state_of(model), state_of(whole))
        assert replace(progress, seconds=0) == replace(expected, seconds=0)


@pytest.mark.parametrize("damage", ["missing", "unknown"])
def test_a_checkpoint_of_another_model_is_not_resumed(
    tmp_path: Path, base, make_phase, make_features, damage: str
) -> None:
    phase, features = make_phase("rel", num_steps=20), make_features("rel")

    def save(step: int, tensors: Any, documents: Any) -> None:
        model = dict(tensors["model"])
        if damage == "missing":
            del model["heads.rel.dense.weight"]
        else:
            model["heads.other.dense.weight"] = torch.zeros(2)
        write_folder(tmp_path / f"{step}", {**tensors, "model": model}, documents)

    run(base, phase, features, save=save)
    with pytest.raises(RuntimeError, match=r"the checkpoint has (no|unknown tensors: ).*dense"):
        run(base, phase, features, resume=tmp_path / "10")
