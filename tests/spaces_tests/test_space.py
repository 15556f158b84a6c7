import dataclasses
import json
import math
import re
from typing import Any

import optuna
import pytest

from spaces.mixture import Mixture
from spaces.phases import Recipe, TrialPlan
from spaces.refusal import Refusal
from spaces.space import Grid, Range, SearchSpace
from spaces.tasks import TASKS, TaskKind

optuna.logging.set_verbosity(optuna.logging.ERROR)

RECIPE = Recipe(num_steps=10, batch_size=4, max_length=64)
CHOICE = SearchSpace(
    encoder="folder",
    seed=3,
    mixture="choice",
    intermediate=("none", "fact", "rel", "fact+rel@de", "all"),
    temperature=2.0,
    cap=1500,
    intermediate_learning_rate=Grid((1e-5, 2e-5)),
    target_learning_rate=Grid((1e-5, 3e-5)),
    intermediate_recipe=RECIPE,
    targets=(("coh", RECIPE), ("retrieval", RECIPE)),
    points=(),
    num_baselines=3,
)
SHARES = dataclasses.replace(
    CHOICE,
    mixture="shares",
    intermediate=("none", "fact", "rel", "coh@de"),
    intermediate_learning_rate=Range(1e-6, 1e-4),
    target_learning_rate=Range(1e-6, 1e-4),
)
RETRIEVAL_ONLY = dataclasses.replace(CHOICE, targets=(("retrieval", RECIPE),))
SPACES = {"choice": CHOICE, "shares": SHARES, "retrieval": RETRIEVAL_ONLY}


def sampled(space: SearchSpace, count: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    params = []
    for _ in range(count):
        trial = study.ask()
        space.suggest(trial)
        params.append(trial.params)
    return params


@pytest.mark.parametrize("name", SPACES)
def test_sampled_trials_decode_to_valid_plans(name: str) -> None:
    space = SPACES[name]
    plans = []
    for params in sampled(space, 50):
        plan = space.decode(params)
        assert TrialPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
        assert plan == space.decode(json.loads(json.dumps(params)))
        assert [target.task for target in plan.targets] == [task for task, _ in space.targets]
        if plan.intermediate is not None:
            assert math.isclose(math.fsum(s for _, s in plan.intermediate.mixture.shares), 1)
            assert plan.intermediate.learning_rate in space.intermediate_learning_rate
            assert plan.intermediate.seed == space.seed
        plans.append(plan)
    assert {plan.is_baseline for plan in plans} == {True, False}


@pytest.mark.parametrize("name", SPACES)
def test_a_fixed_trial_is_asked_for_no_more_than_is_decoded(name: str) -> None:
    space = SPACES[name]
    for params in sampled(space, 20):
        space.suggest(optuna.trial.FixedTrial(params))
        for missing in params:
            with pytest.raises(Refusal, match=re.escape(missing)):
                space.decode({key: value for key, value in params.items() if key != missing})


def test_options_mean_their_mixtures() -> None:
    rates = {"intermediate.learning_rate": 1e-5, "target.learning_rate": 3e-5}

    def mixture(option: str) -> Mixture | None:
        intermediate = CHOICE.decode({"intermediate": option, **rates}).intermediate
        return intermediate.mixture if intermediate else None

    assert mixture("none") is None
    assert mixture("fact") == Mixture.of({"fact": 1})
    weights = {"fact": 1000**0.5, "rel@de": 1500**0.5}
    found = mixture("fact+rel@de")
    assert found is not None
    assert found.to_dict() == pytest.approx(Mixture.of(weights).to_dict())
    found = mixture("all")
    assert found is not None
    assert {str(source) for source in found.sources} == {"fact", "rel", "rel@de"}


def test_a_target_trains_on_its_training_task() -> None:
    for task in TASKS.values():
        if task.kind in (TaskKind.RETRIEVAL, TaskKind.MLM):
            continue
        space = dataclasses.replace(CHOICE, targets=((task.name, RECIPE),))
        plan = space.decode({"intermediate": "none", "target.learning_rate": 1e-5})
        phase = plan.targets[0].phase
        assert phase is not None
        assert phase.mixture == Mixture.of({task.training_task: 1})


def test_baselines_come_first_at_every_value_of_a_grid() -> None:
    point = {
        "intermediate": "fact",
        "intermediate.learning_rate": 2e-5,
        "target.learning_rate": 1e-5,
    }
    space = dataclasses.replace(CHOICE, points=(point,))
    assert space.first_points() == [
        {"intermediate": "none", "target.learning_rate": 1e-5},
        {"intermediate": "none", "target.learning_rate": 3e-5},
        point,
    ]


def test_baselines_lie_inside_a_range() -> None:
    points = SHARES.first_points()
    rates = [point["target.learning_rate"] for point in points]
    assert len(rates) == 3
    assert all(SHARES.decode(point).is_baseline for point in points)
    # by hand: a sixth, a half and five sixths of the way from 1e-6 to 1e-4
    assert rates == pytest.approx([10 ** (-6 + 2 / 6), 1e-5, 10 ** (-4 - 2 / 6)])


def test_without_target_phases_there_is_one_baseline() -> None:
    assert RETRIEVAL_ONLY.first_points() == [{"intermediate": "none"}]


def test_the_baseline_is_an_option_even_if_it_is_not_named() -> None:
    assert dataclasses.replace(CHOICE, intermediate=("fact",)).options == ("none", "fact")
    assert dataclasses.replace(SHARES, intermediate=("fact", "rel")).options == ("none", "mixture")


def test_shares_are_uniform_on_the_simplex() -> None:
    space = dataclasses.replace(SHARES, intermediate=("fact", "rel", "coh"))
    drawn = []
    for params in sampled(space, 3000):
        intermediate = space.decode(params).intermediate
        if intermediate is not None:
            drawn.append(intermediate.mixture.to_dict())
    for source in ("fact@en", "rel@en", "coh@en"):
        shares = [mixture[source] for mixture in drawn]
        assert sum(shares) / len(shares) == pytest.approx(1 / 3, abs=0.02)
        # a share of a uniform point of three is below x with probability 1 - (1 - x)^2
        below = sum(share < 0.2 for share in shares) / len(shares)
        assert below == pytest.approx(1 - 0.8**2, abs=0.03)


RATES = {"intermediate.learning_rate": 1e-5, "target.learning_rate": 3e-5}
MIX = {"mix.fact": 0.5, "mix.rel": 0.5, "mix.coh@de": 0.5}


@pytest.mark.parametrize(
    ("space", "point", "message"),
    [
        (CHOICE, {}, "lack 'intermediate'"),
        (CHOICE, {"intermediate": "fcat", **RATES}, "unknown intermediate 'fcat'"),
        (CHOICE, {"intermediate": "fact", "target.learning_rate": 1e-5}, "lack 'intermediate."),
        (
            CHOICE,
            {"intermediate": "fact", "target.rate": 1e-5, **RATES},
            "unknown parameter of intermediate 'fact' 'target.rate'. Did you mean 'target.learn",
        ),
        (CHOICE, {"intermediate": "none", **RATES}, "'intermediate.learning_rate'"),
        (
            CHOICE,
            {"intermediate": "fact", **RATES, "target.learning_rate": 5e-5},
            "target.learning_rate is 5e-05; expected one of 1e-05, 3e-05",
        ),
        (
            CHOICE,
            {"intermediate": "fact", **RATES, "target.learning_rate": "1e-5"},
            "target.learning_rate is '1e-5'",
        ),
        (
            SHARES,
            {"intermediate": "mixture", **MIX, **RATES, "intermediate.learning_rate": 1e-3},
            "intermediate.learning_rate is 0.001; expected a number from 1e-06 to 0.0001",
        ),
        (SHARES, {"intermediate": "mixture", **MIX, **RATES, "mix.fact": 0.0}, "mix.fact is 0.0"),
        (SHARES, {"intermediate": "mixture", **MIX, **RATES, "mix.fact": 2.0}, "mix.fact is 2.0"),
        (SHARES, {"intermediate": "mixture", **MIX, **RATES, "mix.fact": "x"}, "mix.fact is 'x'"),
        (SHARES, {"intermediate": "mixture", **RATES, "mix.fact": 0.1}, "lack 'mix.rel'"),
        (SHARES, {"intermediate": "mixture", **MIX, **RATES, "mix.seq": 0.1}, "'mix.seq'"),
    ],
)
def test_a_point_that_is_not_of_the_space_is_refused(
    space: SearchSpace, point: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refusal, match=r"^point 1: ") as refused:
        dataclasses.replace(space, points=(point,))
    assert message in str(refused.value)


def test_a_point_of_shares_is_taken() -> None:
    point = {"intermediate": "mixture", **MIX, **RATES}
    space = dataclasses.replace(SHARES, points=(point,))
    plan = space.decode(space.first_points()[-1])
    assert plan.intermediate is not None
    shares = plan.intermediate.mixture.to_dict()
    assert shares == pytest.approx({"coh@de": 1 / 3, "fact@en": 1 / 3, "rel@en": 1 / 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intermediate": ("fact", "fact")}, "each once"),
        ({"intermediate": ("none",)}, "one source at least"),
        ({"intermediate": ("fact", "fcat")}, "unknown task 'fcat'"),
        ({"intermediate": ("fact+",)}, "unknown task ''"),
        ({"intermediate": ("retrieval",)}, "has no training rows"),
        ({"mixture": "shares"}, "lists plain sources"),
        ({"targets": ()}, "needs targets"),
        ({"targets": (("coh", RECIPE), ("coh", RECIPE))}, "each once"),
    ],
)
def test_a_space_that_makes_no_plans_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        dataclasses.replace(CHOICE, **change)


@pytest.mark.parametrize("values", [(), (1e-5, 1e-5), (0.0,), (1.0,), (math.nan,), (1e-5, 2)])
def test_a_grid_out_of_range_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(Refusal, match=r"learning-rate|learning rates"):
        Grid(values)


@pytest.mark.parametrize(("low", "high"), [(0, 1e-5), (1e-5, 1e-5), (1e-4, 1e-5), (0.1, 1)])
def test_a_range_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(Refusal, match=re.escape("needs 0 < low < high < 1")):
        Range(low, high)
