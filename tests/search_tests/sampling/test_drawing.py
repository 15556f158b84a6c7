"""What samplers are shown, and what they make of it: on functions, without a database."""

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from optuna.trial import TrialState

from search.sampling.drawing import ShownTrial, as_shown, distributions, draws
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
Params = Mapping[str, Any]
RATES = {"low": 1e-5, "high": 1e-1}


def scored(value: float | tuple[float, ...], **changes: Any) -> ShownTrial:
    """A baseline's trial at some rate."""
    params = {"intermediate": "none", "target.learning_rate": 1e-3}
    values = value if isinstance(value, tuple) else (value,)
    return ShownTrial(
        **{"params": params, "state": TrialState.COMPLETE, "values": values, **changes}
    )


def failed(**changes: Any) -> ShownTrial:
    return scored((), state=TrialState.FAIL, **changes)


def shown(
    settings: StudySettings, own: list[ShownTrial], earlier: list[list[ShownTrial]] | None = None
) -> Any:
    return as_shown(settings, settings.search_space(), own, earlier or [])


def search(
    settings: StudySettings, worth: Callable[[Params], float | None], num: int
) -> list[ShownTrial]:
    """As many trials, each told before the next is drawn; None: the plan fails."""
    points, own = settings.search_space().first_points(), list[ShownTrial]()
    for index in range(num):
        point = points[index] if index < len(points) else None
        params = next(draws(settings, index=index, study_trials=own, point=point)).params
        value = worth(params)
        own.append(failed(params=params) if value is None else scored(value, params=params))
    return own


def test_what_each_parameter_may_be(settings_of: Settings) -> None:
    space = settings_of(
        space={"lora": {"ranks": [4]}, "target_learning_rate": RATES}
    ).search_space()
    found = distributions(space)
    assert found.keys() == {
        "intermediate",
        "intermediate.learning_rate",
        "intermediate.lora_rank",
        "target.learning_rate",
        "target.lora_rank",
    }


def test_failed_plans_have_the_worst_of_each_objective(settings_of: Settings) -> None:
    names = ["zero_shot_mean", "hours"]
    settings = settings_of(evaluation={"objectives": names, "max_drop": 0.01})
    limit = {"max_drop": -0.01}
    trials = [
        failed(),
        scored((0.3, 5.0), constraints=limit),
        scored((0.6, 9.0), constraints=limit),
    ]
    found = shown(settings, trials)
    assert [tuple(one.values) for one in found] == [(0.3, 9.0), (0.3, 5.0), (0.6, 9.0)]
    assert found[0].constraints["max_drop"] > 0
    assert all(one.state is TrialState.COMPLETE for one in found)


def test_before_anything_is_scored_there_is_no_worst(settings_of: Settings) -> None:
    running = scored((), state=TrialState.RUNNING)
    found = shown(settings_of(study={"sampler": "tpe"}), [failed(), running, failed()])
    assert [one.state for one in found] == [TrialState.RUNNING]


def test_pruned_trials_keep_their_rungs_for_tpe_and_are_low_for_others(
    settings_of: Settings,
) -> None:
    pruned = scored((), state=TrialState.PRUNED, rungs={0: 0.2})
    trials = [*(scored(0.1 * number) for number in range(1, 7)), pruned]
    last = shown(settings_of(study={"sampler": "tpe"}), trials)[-1]
    assert (last.state, last.intermediate_values) == (TrialState.PRUNED, {0: 0.2})
    last = shown(settings_of(study={"sampler": "gp"}), trials)[-1]
    assert (last.state, last.value) == (TrialState.COMPLETE, 0.2)


@pytest.mark.parametrize("shift", [0.0, 0.2, -5.0])
def test_the_level_of_an_earlier_study_says_nothing(shift: float, settings_of: Settings) -> None:
    settings = settings_of(study={"sampler": "tpe"})
    own = [scored(0.5), failed(), scored(0.4), scored(0.6), scored(0.5)]
    earlier = [scored(value + shift) for value in (0.1, 0.3, 0.2)]
    found = [one.value for one in shown(settings, own, [earlier])]
    assert found[:3] == pytest.approx([-0.967, 0.967, 0.0], abs=1e-3)
    assert found[3] == found[7] == pytest.approx(0.0), "equal values, equal ranks"
    assert found[4] == found[5] < found[3] < found[6], "what failed is no better than the worst"
    alone = [one.value for one in shown(settings, own)]
    assert alone == [0.5, 0.4, 0.4, 0.6, 0.5], "without earlier studies values stay"


def test_several_objectives_are_ranked_each_by_itself(settings_of: Settings) -> None:
    settings = settings_of(evaluation={"objectives": ["zero_shot_mean", "hours"]})
    earlier = [scored((0.9, 1.0)), scored((0.8, 3.0)), scored((0.7, 2.0))]
    found = [one.values for one in shown(settings, [], [earlier])]
    assert [value > 0 for value, _ in found] == [True, False, False]
    assert [value > 0 for _, value in found] == [False, True, False]


def test_what_a_trial_has_no_use_for_is_filled_in_alike_after_a_restart(
    settings_of: Settings,
) -> None:
    settings = settings_of(study={"sampler": "gp"}, space={"intermediate_learning_rate": RATES})
    trials = [scored(0.5) for _ in range(20)]
    rates = [one.params["intermediate.learning_rate"] for one in shown(settings, trials)]
    assert rates == [one.params["intermediate.learning_rate"] for one in shown(settings, trials)]
    assert len(set(rates)) == 20
    assert RATES["low"] < min(rates) < 1e-3 < max(rates) < RATES["high"]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_a_draw_sees_those_before_it(sampler: str, settings_of: Settings) -> None:
    """One that was not taken is in flight for the next."""
    settings = settings_of(study={"sampler": sampler}, space={"target_learning_rate": RATES})
    own = [scored(0.1 * number) for number in range(10)]
    proposed = draws(settings, index=10, study_trials=own)
    first = [next(proposed).params for _ in range(3)]
    again = draws(settings, index=10, study_trials=own)
    assert [next(again).params for _ in range(3)] == first
    assert len({params["target.learning_rate"] for params in first}) > 1


APART = {
    "intermediate": ["none", "fact", "coh"],
    "intermediate_learning_rate": {"low": 1e-5, "high": 1e-2},
}


def off(params: Params) -> float:
    """How far the rate of an intermediate phase is from the best one of its option, in powers of
    ten: low for `fact`, high for `coh`."""
    best = {"fact": -4.5, "coh": -2.5}[params["intermediate"]]
    return abs(math.log10(params["intermediate.learning_rate"]) - best)


def worth(params: Params) -> float:
    """Options are equally good at their own best rate."""
    return 0.5 if params["intermediate"] == "none" else 0.8 - off(params) / 10


def test_tpe_finds_the_rate_that_is_best_for_each_option(settings_of: Settings) -> None:
    """Of forty trials, the nearest to the best rate of its option. Where rates are drawn without
    looking at the option, that is 0.39 off in the mean of these searches."""
    nearest = []
    for seed in range(6):
        own = search(settings_of(study={"sampler": "tpe", "seed": seed}, space=APART), worth, 40)
        for option in ("fact", "coh"):
            tried = [one.params for one in own if one.params["intermediate"] == option]
            nearest.append(min(map(off, tried)))
    assert statistics.fmean(nearest) < 0.25


def test_gp_models_the_rate_with_its_option(settings_of: Settings) -> None:
    """What it proposes after forty random trials is near the best rate of the option."""
    found = []
    for seed in range(3):
        trials = search(settings_of(study={"seed": seed}, space=APART), worth, 40)
        learned = settings_of(study={"seed": seed, "sampler": "gp"}, space=APART)
        for index in range(40, 43):
            params = next(draws(learned, index=index, study_trials=trials)).params
            found.append(off(params))
    assert statistics.fmean(found) < 0.2


def test_plans_that_fail_are_learned_from(settings_of: Settings) -> None:
    """A third of the range of rates diverges."""
    num_failed = []
    for seed in range(4):
        settings = settings_of(
            study={"sampler": "tpe", "seed": seed},
            space={"target_learning_rate": {"low": 1e-5, "high": 1e-1}},
        )

        def worth(params: Params) -> float | None:
            rate = params["target.learning_rate"]
            if rate > 2e-3:
                return None
            return 0.5 - 0.05 * abs(math.log10(rate) + 3)

        own = search(settings, worth, 30)
        num_failed.append(sum(one.state is TrialState.FAIL for one in own[10:]))
    assert statistics.fmean(num_failed) < 8, "of twenty; ignored, it is fourteen"
