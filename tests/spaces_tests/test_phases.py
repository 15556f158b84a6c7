import dataclasses
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.phases import Phase, Pooling, Recipe, Role, Target, TrialPlan
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from tests.by_name import mixture_of

SOURCES = [t.name for t in SHIPPED if t.trains and not t.train_on and t.kind is not TaskKind.MLM]
optional = st.none() | st.integers(1, 10**6)
shares = st.floats(0, 1)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    evaluate_every = draw(optional)
    return Recipe(
        num_steps=draw(st.integers(1, 10**6)),
        batch_size=draw(st.integers(1, 4096)),
        max_length=draw(st.integers(8, 512)),
        max_batch_tokens=draw(optional),
        max_train_rows=draw(optional),
        warmup_share=draw(shares),
        weight_decay=draw(shares),
        max_grad_norm=draw(st.floats(1e-3, 10)),
        evaluate_every=evaluate_every,
        patience=draw(optional) if evaluate_every else None,
        max_dev_rows=draw(st.integers(1, 10**4)),
        mask_share=draw(st.floats(0.01, 0.99)),
        pooling=draw(st.sampled_from(Pooling)),
    )


@st.composite
def phases(draw: st.DrawFn, *, task: str | None = None) -> Phase:
    names = [task] if task else draw(st.lists(st.sampled_from(SOURCES), min_size=1, unique=True))
    weights = {name: draw(st.floats(0.01, 1)) for name in names}
    return Phase(
        mixture=mixture_of(weights),
        learning_rate=draw(st.floats(1e-7, 0.9)),
        seed=draw(st.integers(0, 2**32)),
        recipe=draw(recipes()),
    )


@st.composite
def plans(draw: st.DrawFn) -> TrialPlan:
    names = draw(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=3, unique=True))
    targets = [Target(task=SHIPPED.get(name), phase=draw(phases(task=name))) for name in names]
    if draw(st.booleans()):
        targets.append(Target(task=SHIPPED.get("retrieval"), phase=None))
    return TrialPlan(
        encoder=draw(st.text(max_size=20)),
        intermediate=draw(st.none() | phases()),
        targets=tuple(targets),
    )


RECIPE = Recipe(num_steps=10, batch_size=4, max_length=64, evaluate_every=5, patience=2)
PHASE = Phase(mixture=mixture_of({"rel": 1, "fact": 1}), learning_rate=1e-5, seed=0, recipe=RECIPE)
WORLD = {"encoder": "abc", "tokenizer": "def"}
COH = mixture_of({"coh": 1})


@settings(max_examples=200)
@given(plans())
def test_a_plan_comes_back_from_json(plan: TrialPlan) -> None:
    text = json.dumps(plan.to_dict(), allow_nan=False)
    assert TrialPlan.from_dict(json.loads(text), SHIPPED) == plan
    assert [pair.target for pair in plan.pairs] == list(plan.targets)
    assert all(pair.intermediate == plan.intermediate for pair in plan.pairs)
    assert plan.baseline().is_baseline
    assert plan.baseline().targets == plan.targets


@given(phases())
def test_equal_content_has_an_equal_key(phase: Phase) -> None:
    again = Phase.from_dict(json.loads(json.dumps(phase.to_dict())), SHIPPED)
    turned = dict(reversed(list(WORLD.items())))
    assert again.key(turned, "parent") == phase.key(WORLD, "parent")


def test_a_key_is_forty_hex_digits() -> None:
    """Of the phase's content alone: there is no number of workers to depend on."""
    assert re.fullmatch("[0-9a-f]{40}", PHASE.key(WORLD, None))
    assert "workers" not in json.dumps(PHASE.to_dict())


CHANGED: dict[str, Any] = {
    "num_steps": 11,
    "batch_size": 5,
    "max_length": 65,
    "max_batch_tokens": 1,
    "max_train_rows": 1,
    "warmup_share": 0.2,
    "weight_decay": 0.02,
    "max_grad_norm": 2.0,
    "adam_beta2": 0.5,
    "evaluate_every": 6,
    "patience": 3,
    "max_dev_rows": 501,
    "mask_share": 0.2,
    "num_frozen_layers": 0,
    "lora_rank": 4,
    "pooling": "first",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Recipe)])
def test_every_field_of_the_recipe_is_in_the_key(name: str) -> None:
    changed = dataclasses.replace(RECIPE, **{name: CHANGED[name]})
    other = dataclasses.replace(PHASE, recipe=changed)
    assert other.key(WORLD, None) != PHASE.key(WORLD, None)


def test_the_mean_is_not_in_the_key() -> None:
    """It was the only pooling when earlier phases were stored."""
    assert Recipe(num_steps=1, batch_size=1, max_length=8).pooling is Pooling.MEAN
    assert "pooling" not in RECIPE.to_dict()
    first = dataclasses.replace(RECIPE, pooling="first")
    assert json.loads(json.dumps(first.to_dict()))["pooling"] == "first"
    assert Recipe(**first.to_dict()) == first
    with pytest.raises(Refusal, match="unknown pooling 'frist'"):
        dataclasses.replace(RECIPE, pooling="frist")


@pytest.mark.parametrize("source", ["pos", "text"])
def test_a_phase_without_pooled_heads_has_one_key(source: str) -> None:
    phases = [
        dataclasses.replace(
            PHASE,
            mixture=mixture_of({source: 1}),
            recipe=dataclasses.replace(RECIPE, pooling=pooling, evaluate_every=None, patience=None),
        )
        for pooling in Pooling
    ]
    assert len({phase.key(WORLD, None) for phase in phases}) == 1
    mixed = dataclasses.replace(phases[0], mixture=mixture_of({source: 1, "rel": 1}))
    first = dataclasses.replace(mixed, recipe=dataclasses.replace(mixed.recipe, pooling="first"))
    assert mixed.key(WORLD, None) != first.key(WORLD, None)


@pytest.mark.parametrize(
    "change",
    [
        {"mixture": mixture_of({"rel": 1})},
        {"mixture": mixture_of({"rel": 1, "fact": 2})},
        {"mixture": mixture_of({"rel": 1, "fact@de": 1})},
        {"learning_rate": math.nextafter(1e-5, 1)},
        {"seed": 1},
        {"role": Role.INTERMEDIATE},
    ],
)
def test_every_field_of_the_phase_is_in_the_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(PHASE, **change).key(WORLD, None) != PHASE.key(WORLD, None)


def test_the_world_and_the_parent_are_in_the_key() -> None:
    worlds = [WORLD, {**WORLD, "encoder": "x"}, {**WORLD, "more": ""}, {}]
    keys = {PHASE.key(world, parent) for world in worlds for parent in (None, "a", "b")}
    assert len(keys) == 12


@given(plans())
def test_where_a_phase_stands_is_its_role(plan: TrialPlan) -> None:
    """Whoever makes it, and however it is read: a record from before there were roles too."""
    older = plan.to_dict()
    for phase in (older["intermediate"], *(target["phase"] for target in older["targets"])):
        if phase is not None:
            del phase["role"]
    assert TrialPlan.from_dict(older, SHIPPED) == plan
    phases = [target.phase for target in plan.targets if target.phase is not None]
    assert {phase.role for phase in phases} == {Role.TARGET}
    if plan.intermediate is not None:
        assert plan.intermediate.role is Role.INTERMEDIATE
        turned = Target(task=SHIPPED.get("coh"), phase=dataclasses.replace(PHASE, mixture=COH))
        assert turned.phase is not None
        swapped = dataclasses.replace(plan, intermediate=turned.phase)
        assert swapped.intermediate is not None
        assert swapped.intermediate.draws == "intermediate:0" != turned.phase.draws


def test_another_seed_goes_into_every_phase() -> None:
    target = dataclasses.replace(PHASE, mixture=mixture_of({"coh": 1}))
    plan = TrialPlan(
        encoder="e",
        intermediate=PHASE,
        targets=(
            Target(task=SHIPPED.get("coh"), phase=target),
            Target(task=SHIPPED.get("retrieval"), phase=None),
        ),
    )
    other = plan.with_seed(7)
    assert other.intermediate is not None
    assert other.targets[0].phase is not None
    assert (other.intermediate.seed, other.targets[0].phase.seed) == (7, 7)
    assert other.targets[1] == plan.targets[1]
    assert other.with_seed(0) == plan
    assert plan.baseline().with_seed(7).intermediate is None


@pytest.mark.parametrize(
    "change",
    [
        {"num_steps": 0},
        {"batch_size": -1},
        {"max_length": 7},
        {"max_batch_tokens": 0},
        {"max_train_rows": 0},
        {"warmup_share": 1.1},
        {"warmup_share": math.nan},
        {"weight_decay": -0.1},
        {"weight_decay": math.nan},
        {"weight_decay": math.inf},
        {"max_grad_norm": 0},
        {"max_grad_norm": math.inf},
        {"max_grad_norm": math.nan},
        {"evaluate_every": 0},
        {"patience": 0},
        {"max_dev_rows": 0},
        {"mask_share": 0},
        {"mask_share": 1},
    ],
)
def test_a_recipe_out_of_range_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=next(iter(change))):
        dataclasses.replace(RECIPE, **change)


def test_patience_without_evaluation_is_refused() -> None:
    with pytest.raises(Refusal, match="set evaluate_every too"):
        dataclasses.replace(RECIPE, evaluate_every=None)


@pytest.mark.parametrize("rate", [0, 1, -1e-5, 1e3, math.nan, math.inf])
def test_a_learning_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(Refusal, match="learning rate must lie between 0 and 1"):
        dataclasses.replace(PHASE, learning_rate=rate)


def test_targets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Refusal, match="cannot be scored this way"):
        Target(task=SHIPPED.get("retrieval"), phase=PHASE)
    with pytest.raises(Refusal, match="cannot be scored this way"):
        Target(task=SHIPPED.get("coh"), phase=None)
    with pytest.raises(Refusal, match="unknown training task of target 'coh'"):
        Target(task=SHIPPED.get("coh"), phase=PHASE)
    with pytest.raises(Refusal, match="needs targets, each once"):
        TrialPlan(encoder="e", intermediate=None, targets=())
    target = Target(task=SHIPPED.get("retrieval"), phase=None)
    with pytest.raises(Refusal, match="each once"):
        TrialPlan(encoder="e", intermediate=None, targets=(target, target))


def test_a_target_has_heads_of_the_tasks_that_its_phase_trains_on() -> None:
    both = mixture_of({"rel": 1, "rel@de": 1, "coh": 2})
    phase = dataclasses.replace(PHASE, mixture=both)
    target, untrained = (
        Target(task=SHIPPED.get("coh"), phase=phase),
        Target(task=SHIPPED.get("retrieval"), phase=None),
    )
    assert (target.trained_tasks, target.recipe) == (
        (SHIPPED.get("coh"), SHIPPED.get("rel")),
        RECIPE,
    )
    assert (untrained.trained_tasks, untrained.recipe) == ((), None)


def test_text_alone_has_no_validation_rows() -> None:
    texts = [task.name for task in SHIPPED if task.kind is TaskKind.MLM]
    if not texts:
        pytest.skip("no mlm task in the table")
    with pytest.raises(Refusal, match="leave evaluate_every out"):
        dataclasses.replace(PHASE, mixture=mixture_of({texts[0]: 1}))
    dataclasses.replace(PHASE, mixture=mixture_of({texts[0]: 1, "rel": 1}))


def test_a_plan_in_a_few_words() -> None:
    def phase(source: str, rate: float) -> Phase:
        recipe = Recipe(num_steps=1, batch_size=1, max_length=8)
        mixture = mixture_of({source: 1.0})
        return Phase(mixture=mixture, learning_rate=rate, seed=0, recipe=recipe)

    target = Target(task=SHIPPED.get("coh"), phase=phase("coh", 1e-4))
    scored = Target(task=SHIPPED.get("retrieval"), phase=None)
    fact = phase("fact", 2.5e-4)
    plans = [
        TrialPlan(encoder="e", intermediate=fact, targets=(target, scored)),
        TrialPlan(encoder="e", intermediate=fact, targets=(scored,)),
        TrialPlan(encoder="e", intermediate=None, targets=(target, scored)),
        TrialPlan(encoder="e", intermediate=None, targets=(scored,)),
    ]
    assert [str(plan) for plan in plans] == [
        "fact 2.5e-04 -> 1e-04",
        "fact 2.5e-04",
        "baseline 1e-04",
        "baseline",
    ]
