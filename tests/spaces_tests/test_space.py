import dataclasses
import json
import math
import re
from typing import Any

import optuna
import pytest

from spaces.domains import Grid, Range
from spaces.intermediates import Intermediates
from spaces.lora import Adapters
from spaces.masking import PROPORTIONAL, Masking
from spaces.mixture import Mixture
from spaces.phases import Recipe, TrialPlan
from spaces.refusal import Refusal
from spaces.space import SearchSpace
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.pocket_tasks import TEXT
from spaces.tasks.task import TaskKind
from tests.by_name import mixture_of

optuna.logging.set_verbosity(optuna.logging.ERROR)

RECIPE = Recipe(num_steps=10, batch_size=4, max_length=64)
CHOICE = SearchSpace(
    encoder="folder",
    seeds=(3,),
    intermediates=Intermediates(
        catalogue=SHIPPED,
        mixture="choice",
        listed=("none", "fact", "rel", "fact+rel@de", "all"),
        temperature=2.0,
        cap=1500,
    ),
    intermediate_learning_rate=Grid((1e-5, 2e-5)),
    target_learning_rate=Grid((1e-5, 3e-5)),
    intermediate_recipe=RECIPE,
    targets=((SHIPPED.get("coh"), RECIPE), (SHIPPED.get("retrieval"), RECIPE)),
    points=(),
    num_baselines=3,
)


def changed(space: SearchSpace, **changes: Any) -> SearchSpace:
    """With another value of some fields, its own or those of its intermediates."""
    own = {field.name for field in dataclasses.fields(space)}
    inner = {name: changes.pop(name) for name in list(changes) if name not in own}
    if inner:
        changes["intermediates"] = dataclasses.replace(space.intermediates, **inner)
    return dataclasses.replace(space, **changes)


SHARES = changed(
    CHOICE,
    mixture="shares",
    listed=("none", "fact", "rel", "coh@de"),
    intermediate_learning_rate=Range(1e-6, 1e-4),
    target_learning_rate=Range(1e-6, 1e-4),
)
MASKED = changed(
    CHOICE,
    masking=Masking(
        text=TEXT,
        languages=("de", "es"),
        shares=(PROPORTIONAL, 0.5),
        learning_rate=Grid((5e-6,)),
    ),
)
ADAPTED = dataclasses.replace(CHOICE, adapters=Adapters(ranks=(4, 8)))
GRID = dataclasses.replace(MASKED, is_grid=True, seeds=(1, 2), target_learning_rate=Grid((1e-5,)))
RETRIEVAL_ONLY = dataclasses.replace(CHOICE, targets=((SHIPPED.get("retrieval"), RECIPE),))
SPACES = {
    "choice": CHOICE,
    "shares": SHARES,
    "masked": MASKED,
    "adapted": ADAPTED,
    "grid": GRID,
    "retrieval": RETRIEVAL_ONLY,
}


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
        assert TrialPlan.from_dict(json.loads(json.dumps(plan.to_dict())), SHIPPED) == plan
        assert plan == space.decode(json.loads(json.dumps(params)))
        assert [target.task for target in plan.targets] == [task for task, _ in space.targets]
        if plan.intermediate is not None:
            assert math.isclose(math.fsum(s for _, s in plan.intermediate.mixture.shares), 1)
            rates = {"mlm.learning_rate", "intermediate.learning_rate"} & params.keys()
            assert [plan.intermediate.learning_rate] == [params[name] for name in rates]
            assert plan.intermediate.seed == params.get("seed", space.seeds[0])
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
    assert mixture("fact") == mixture_of({"fact": 1})
    weights = {"fact": 1000**0.5, "rel@de": 1500**0.5}
    result = mixture("fact+rel@de")
    assert result is not None
    assert result.to_dict() == pytest.approx(mixture_of(weights).to_dict())
    result = mixture("all")
    assert result is not None
    assert {str(source) for source in result.sources} == {"fact", "rel", "rel@de"}


def test_a_target_trains_on_its_training_task() -> None:
    for task in SHIPPED:
        if task.kind in (TaskKind.RETRIEVAL, TaskKind.MLM):
            continue
        space = dataclasses.replace(CHOICE, targets=((task, RECIPE),))
        plan = space.decode({"intermediate": "none", "target.learning_rate": 1e-5})
        phase = plan.targets[0].phase
        assert phase is not None
        assert phase.mixture == mixture_of({task.training_task.name: 1})


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


def test_shares_are_uniform_on_the_simplex() -> None:
    space = changed(SHARES, listed=("fact", "rel", "coh"))
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
        (CHOICE, {}, "have no 'intermediate'"),
        (CHOICE, {"intermediate": "fcat", **RATES}, "unknown intermediate 'fcat'"),
        (CHOICE, {"intermediate": "fact", "target.learning_rate": 1e-5}, "have no 'intermediate."),
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
        (SHARES, {"intermediate": "mixture", **RATES, "mix.fact": 0.1}, "have no 'mix.rel'"),
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
        ({"targets": ()}, "needs targets"),
        ({"targets": ((SHIPPED.get("coh"), RECIPE), (SHIPPED.get("coh"), RECIPE))}, "each once"),
    ],
)
def test_a_space_that_makes_no_plans_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        changed(CHOICE, **change)


def test_masking_stands_beside_an_intermediate_task() -> None:
    """By hand: two languages of 1,000 rows each beside 1,000 rows of `fact`, no cap in the way."""
    space = changed(MASKED, temperature=1.0, cap=None)
    rates = {"mlm.learning_rate": 5e-6, "target.learning_rate": 1e-5}

    def shares(option: str, share: float | str) -> dict[str, float]:
        plan = space.decode({"intermediate": option, "mlm.share": share, **rates})
        assert plan.intermediate is not None
        assert plan.intermediate.learning_rate == 5e-6
        return plan.intermediate.mixture.to_dict()

    assert shares("fact", 0.5) == {"fact@en": 0.5, "text@de": 0.25, "text@es": 0.25}
    assert shares("fact", PROPORTIONAL) == pytest.approx(
        {"fact@en": 1 / 3, "text@de": 1 / 3, "text@es": 1 / 3}
    )
    assert shares("none", 0.5) == {"text@de": 0.5, "text@es": 0.5}, "masking alone"


def test_masking_alone_trains_to_its_end() -> None:
    """It has no validation rows to stop by."""
    recipe = dataclasses.replace(RECIPE, evaluate_every=2, patience=3)
    own = dataclasses.replace(RECIPE, num_steps=77)
    space = dataclasses.replace(MASKED, intermediate_recipe=recipe)
    assert space.recipe_of("none") == dataclasses.replace(RECIPE)
    assert space.recipe_of("fact") == recipe
    named = dataclasses.replace(space, recipes=(("mlm", own), ("fact", own)))
    assert named.recipe_of("none").num_steps == named.recipe_of("fact").num_steps == 77
    assert named.recipe_of("rel") == recipe


def test_without_a_rate_of_its_own_masking_takes_the_intermediate_one() -> None:
    masking = dataclasses.replace(MASKED.masking, learning_rate=None)
    space = changed(MASKED, masking=masking)
    assert set(space.domains("fact", 0.5)) == {"intermediate.learning_rate", "target.learning_rate"}
    assert set(space.domains("none", 0.5)) == {"intermediate.learning_rate", "target.learning_rate"}
    assert set(space.domains("none", 0.0)) == {"target.learning_rate"}


def test_a_grid_is_all_its_plans_seed_by_seed_with_the_baseline_first() -> None:
    """By hand: 4 tasks without masking at 2 rates, with it at 2 shares and 1 rate (but `rel` and
    the text are both cut to the cap, so that its proportional share is 0.5 too), masking alone
    (whose share is all), the baseline."""
    points = GRID.first_points()
    plans = [GRID.decode(point) for point in points]
    assert len(set(plans)) == len(plans) == 2 * (4 * 2 + 4 * 2 - 1 + 1 + 1)
    assert [point["seed"] for point in points] == [1] * 17 + [2] * 17
    assert plans[0].is_baseline
    assert plans[17] == plans[0].with_seed(2)
    assert [plan.with_seed(2) for plan in plans[:17]] == plans[17:]


def test_an_endless_space_has_no_grid() -> None:
    assert SHARES.grid_points() == []
    rates = Range(1e-6, 1e-4)
    assert dataclasses.replace(CHOICE, target_learning_rate=rates).grid_points() == []


def test_every_source_is_read_by_every_recipe_it_may_have() -> None:
    own = dataclasses.replace(RECIPE, max_train_rows=7)
    space = dataclasses.replace(MASKED, recipes=(("all", own),))
    reads = list(space.reads())
    assert len(set(reads)) == len(reads)
    for source in ("fact", "rel", "rel@de", "text@de", "text@es"):
        recipes = [recipe for name, recipe in reads if str(name) == source]
        assert sorted(r.max_train_rows or 0 for r in recipes) == [0, 7]


@pytest.mark.parametrize(
    ("space", "change", "message"),
    [
        (CHOICE, {"seeds": (1, 2)}, "set sampler = 'grid'"),
        (GRID, {"seeds": (1, 1)}, "each once"),
        (GRID, {"target_learning_rate": Range(1e-6, 1e-4)}, "give lists of learning rates"),
        (GRID, {"points": ({"intermediate": "none"},)}, "leave space.points out"),
        (MASKED, {"recipes": (("fcat", RECIPE),)}, "unknown intermediate with a recipe 'fcat'"),
        (MASKED, {"recipes": (("none", RECIPE),)}, "'none'"),
        (
            MASKED,
            {"points": ({"intermediate": "fact", "mlm.share": 0.3, "target.learning_rate": 1e-5},)},
            "mlm.share is 0.3; expected one of 0.0, proportional, 0.5",
        ),
    ],
)
def test_a_grid_or_masking_that_cannot_be_is_refused(
    space: SearchSpace, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        changed(space, **change)
