"""The Optuna study: what is asked, counted and told, over restarts of the driver."""

import math
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.sampling.study import AskedTrial, OptunaStudy
from spaces.phases import Pooling
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import parse_text, read_text

Settings = Callable[..., StudySettings]
BASELINES = [
    {"intermediate": "none", "target.learning_rate": 1e-3},
    {"intermediate": "none", "target.learning_rate": 3e-3},
]
POINT = {"intermediate": "fact", "intermediate.learning_rate": 2e-3, "target.learning_rate": 1e-3}


def raw(url: str, name: str = "tiny") -> optuna.Study:
    """The study as Optuna itself reads it."""
    return optuna.load_study(study_name=name, storage=url)


def fixed(asked: AskedTrial) -> float:
    """The same in every process, unlike `hash` of text."""
    return 0.5 + sum(ord(letter) for letter in repr(sorted(asked.params.items()))) % 97 / 400


def test_first_the_baselines_then_the_points_then_the_sampler(
    settings_of: Settings, optuna_url: str
) -> None:
    settings = settings_of(space={"points": [POINT]})
    study = OptunaStudy.open(optuna_url, settings)
    asked = [study.ask() for _ in range(6)]
    assert [one.number for one in asked] == list(range(6))
    assert [dict(one.params) for one in asked[:3]] == [*BASELINES, POINT]
    assert [one.plan.is_baseline for one in asked[:3]] == [True, True, False]
    for one in asked:
        assert settings.search_space().decode(one.params) == one.plan


def test_what_looks_promising_comes_after_the_points_and_is_kept(
    settings_of: Settings, optuna_url: str
) -> None:
    """As of a restart: the same order, whenever the driver was started again."""
    settings = settings_of(study={"priors": True}, space={"points": [POINT]})
    first = [{**POINT, "intermediate": name} for name in ("coh", "coh+fact")]
    study = OptunaStudy.open(optuna_url, settings)
    assert study.priors is None
    asked = [study.ask()]  # even where one was asked before they were known
    study.keep_priors({"options": [], "first": first})
    asked += [study.ask(), study.ask()]
    again = OptunaStudy.open(optuna_url, settings)
    assert again.priors == study.priors == {"options": [], "first": first}
    asked += [again.ask(), again.ask(), again.ask()]
    assert [dict(one.params) for one in asked[:5]] == [*BASELINES, POINT, *first]
    assert [one.number for one in asked] == list(range(6))


def test_a_range_has_baselines_in_its_parts(settings_of: Settings, optuna_url: str) -> None:
    rates = {"low": 1e-4, "high": 1e-2}
    settings = settings_of(space={"target_learning_rate": rates, "num_baselines": 2})
    study = OptunaStudy.open(optuna_url, settings)
    first = [study.ask().params for _ in range(2)]
    assert [params["intermediate"] for params in first] == ["none", "none"]
    assert first[0]["target.learning_rate"] == pytest.approx(10**-3.5)
    assert first[1]["target.learning_rate"] == pytest.approx(10**-2.5)


def test_a_grid_is_asked_whole_and_then_used_up(settings_of: Settings, optuna_url: str) -> None:
    settings = settings_of(study={"sampler": "grid"}, space={"seeds": [1, 2]})
    points = settings.search_space().grid_points()
    study = OptunaStudy.open(optuna_url, settings)
    asked = [dict(study.ask().params) for _ in points[:3]]
    again = OptunaStudy.open(optuna_url, settings)
    while not again.is_used_up:
        asked.append(dict(again.ask().params))
    assert asked == points
    assert {point["seed"] for point in points} == {1, 2}
    assert OptunaStudy.open(optuna_url, settings).is_used_up


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "nsga2"])
def test_draws_do_not_depend_on_restarts(
    sampler: str, settings_of: Settings, tmp_path: Path, empty_optuna: bytes
) -> None:
    settings = settings_of(
        study={"sampler": sampler},
        space={"intermediate_learning_rate": {"low": 1e-5, "high": 1e-2}},
    )

    def draw(name: str, *, reopen: bool) -> list[dict[str, Any]]:
        path = tmp_path / name
        path.write_bytes(empty_optuna)
        study, params = OptunaStudy.open(f"sqlite:///{path}", settings), []
        for _ in range(14):  # past the eight draws that tpe makes at random
            asked = study.ask()
            params.append(dict(asked.params))
            study.tell_scored(asked, fixed(asked))
            if reopen:
                study = OptunaStudy.open(f"sqlite:///{path}", settings)
        return params

    straight = draw("a.db", reopen=False)
    assert draw("b.db", reopen=True) == straight
    plans = {settings.search_space().decode(params) for params in straight}
    assert len(plans) == len(straight), "a restart or an index drew the same again"
    if sampler in ("random", "tpe"):  # gp goes to the ends of a range, nsga2 crosses rates
        rates = [p["intermediate.learning_rate"] for p in straight if p["intermediate"] != "none"]
        assert len(set(rates)) == len(rates)


def test_a_gaussian_process_goes_where_the_scores_are(
    settings_of: Settings, optuna_url: str
) -> None:
    """The score falls with the distance of the target rate from 1e-3, and `coh` helps."""
    space = {"target_learning_rate": {"low": 1e-5, "high": 1e-1}}
    study = OptunaStudy.open(optuna_url, settings_of(study={"sampler": "gp"}, space=space))
    found = []
    for _ in range(16):
        asked = study.ask()
        off = abs(math.log10(asked.params["target.learning_rate"]) + 3)
        study.tell_scored(asked, 0.8 - off / 10 + 0.05 * (asked.params["intermediate"] == "coh"))
        found.append((asked.params["intermediate"] == "coh", off))
    learned = found[11:]
    assert sum(off for _, off in learned) / len(learned) < 0.6, "at random it is one"
    assert sum(is_coh for is_coh, _ in learned) >= 3, "at random it is one in four"


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_draws_do_not_depend_on_restarts_whatever_came_of_the_trials(
    sampler: str, settings_of: Settings, tmp_path: Path, empty_optuna: bytes
) -> None:
    """Some fail, some are pruned, some broke, one is in flight all the time."""
    settings = settings_of(study={"sampler": sampler, "pruner": "lowest_third"})

    def draw(name: str, *, reopen: bool) -> list[dict[str, Any]]:
        path = tmp_path / name
        path.write_bytes(empty_optuna)
        study, params = OptunaStudy.open(f"sqlite:///{path}", settings), []
        for number in range(13):
            asked = study.ask()
            params.append(dict(asked.params))
            if number == 3:
                continue
            study.prunes(asked, rung=0, value=fixed(asked))
            if number in (4, 9):
                study.tell_failed(asked, "it diverged", is_broken=number == 9)
            elif number in (5, 10):
                study.tell_pruned(asked)
            else:
                study.tell_scored(asked, fixed(asked))
            if reopen:
                study = OptunaStudy.open(f"sqlite:///{path}", settings)
        return params

    assert draw("a.db", reopen=True) == draw("b.db", reopen=False)


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_all_57_plans_of_the_pocket_study_are_scored(sampler: str, seed: int) -> None:
    content = parse_text(read_text("pocket"), "pocket")
    content["study"] |= {"sampler": sampler, "seed": seed}
    settings = StudySettings.parse(content)
    study = OptunaStudy(optuna.create_study(direction="maximize"), settings)
    plans = set()
    while (asked := study.ask()) is not None:
        plans.add(asked.plan)
        study.tell_scored(asked, fixed(asked))
    assert study.history.num_counted == len(plans) == 57
    assert study.exhausted == "space"


def test_draws_depend_on_the_seed(
    settings_of: Settings, tmp_path: Path, empty_optuna: bytes
) -> None:
    drawn = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.db"
        path.write_bytes(empty_optuna)
        study = OptunaStudy.open(f"sqlite:///{path}", settings_of(study={"seed": seed}))
        drawn.append([study.ask().params for _ in range(10)][2:])
    assert drawn[0] != drawn[1]


def test_a_random_draw_depends_on_its_index_alone(
    settings_of: Settings, tmp_path: Path, empty_optuna: bytes
) -> None:
    drawn = []
    for told in (True, False):
        path = tmp_path / f"{told}.db"
        path.write_bytes(empty_optuna)
        study = OptunaStudy.open(f"sqlite:///{path}", settings_of())
        params = []
        for _ in range(6):
            asked = study.ask()
            params.append(dict(asked.params))
            if told:
                study.tell_scored(asked, 0.5)
        drawn.append(params)
    assert drawn[0] == drawn[1]


def test_running_trials_are_taken_up_under_their_numbers(
    settings_of: Settings, optuna_url: str
) -> None:
    settings = settings_of()
    study = OptunaStudy.open(optuna_url, settings)
    asked = [study.ask() for _ in range(3)]
    study.tell_scored(asked[1], 0.4)
    again = OptunaStudy.open(optuna_url, settings)
    assert again.running() == [asked[0], asked[2]]
    assert again.history.num_counted == 1
    assert again.history.results[asked[1].plan].values == (0.4,)


def test_a_half_asked_trial_is_failed_and_drawn_again(
    settings_of: Settings, optuna_url: str, tmp_path: Path, empty_optuna: bytes
) -> None:
    settings = settings_of()
    whole = tmp_path / "whole.db"
    whole.write_bytes(empty_optuna)
    undisturbed = OptunaStudy.open(f"sqlite:///{whole}", settings)
    expected = [undisturbed.ask().params for _ in range(4)]

    study = OptunaStudy.open(optuna_url, settings)
    for _ in range(2):
        study.tell_scored(study.ask(), 0.5)
    half = raw(optuna_url).ask()  # killed between two parameters
    half.suggest_categorical("intermediate", settings.search_space().options)
    raw(optuna_url).ask()  # killed before the first one

    again = OptunaStudy.open(optuna_url, settings)
    assert again.running() == []
    states = [trial.state for trial in raw(optuna_url).trials]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.FAIL] * 2
    assert again.history.num_counted == 2
    next_ones = [again.ask() for _ in range(2)]
    assert [one.number for one in next_ones] == [4, 5]
    assert [one.params for one in next_ones] == expected[2:]
    assert OptunaStudy.open(optuna_url, settings).history.num_counted == 2


def test_what_counts_and_what_is_remembered(settings_of: Settings, optuna_url: str) -> None:
    points = [POINT, {**POINT, "intermediate": "coh"}, BASELINES[0]]
    settings = settings_of(space={"points": points})
    study = OptunaStudy.open(optuna_url, settings)
    scored, failed, broken, pruned, second = (study.ask() for _ in range(5))
    study.tell_scored(scored, 0.6)
    study.tell_failed(failed, "loss was not finite")
    study.tell_failed(broken, "OSError: no space", is_broken=True)
    study.prunes(pruned, rung=0, value=0.25)
    study.tell_pruned(pruned)
    study.tell_duplicate(second, study.history.results[scored.plan])
    for one in (study, OptunaStudy.open(optuna_url, settings)):
        assert one.history.num_counted == 4
        assert one.history.results[scored.plan].values == (0.6,)
        assert (
            one.history.results[failed.plan].values == one.history.results[pruned.plan].values == ()
        )
        assert (
            one.history.results[failed.plan].is_pruned,
            one.history.results[pruned.plan].is_pruned,
        ) == (
            False,
            True,
        )
        assert one.history.results.keys() == {scored.plan, failed.plan, pruned.plan}, (
            "not the broken one"
        )
    trials = raw(optuna_url).trials
    assert Counter(t.state for t in trials) == {
        TrialState.COMPLETE: 2,
        TrialState.FAIL: 2,
        TrialState.PRUNED: 1,
    }
    assert trials[second.number].value == 0.6
    assert trials[second.number].user_attrs["duplicate_of"] == scored.number
    assert trials[failed.number].user_attrs["reason"] == "loss was not finite"
    assert trials[pruned.number].value == 0.25


def test_a_duplicate_of_a_failed_plan_fails(settings_of: Settings, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    first, second = study.ask(), study.ask()
    study.tell_failed(first, "diverged")
    study.tell_duplicate(second, study.history.results[first.plan])
    assert raw(optuna_url).trials[1].state is TrialState.FAIL
    assert study.history.num_counted == 1


def test_a_duplicate_of_a_pruned_plan_is_not_trained_again(
    settings_of: Settings, optuna_url: str
) -> None:
    study = OptunaStudy.open(optuna_url, settings_of(space={"points": [BASELINES[0]]}))
    first, _, again = study.ask(), study.ask(), study.ask()
    study.prunes(first, rung=0, value=0.2)
    study.tell_pruned(first)
    for one in (OptunaStudy.open(optuna_url, settings_of(space={"points": [BASELINES[0]]})), study):
        assert one.history.results[again.plan].is_pruned
    study.tell_duplicate(again, study.history.results[again.plan])
    trial = raw(optuna_url).trials[again.number]
    assert (trial.state, trial.value) == (TrialState.PRUNED, None)
    assert study.history.num_counted == 1


def test_telling_twice_is_harmless(settings_of: Settings, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    asked = study.ask()
    study.tell_scored(asked, 0.6)
    study.tell_scored(asked, 0.7)
    study.tell_failed(asked, "too late")
    study.tell_pruned(asked)
    assert study.history.num_counted == 1
    assert study.history.results[asked.plan].values == (0.6,)
    trial = raw(optuna_url).trials[0]
    assert (trial.state, trial.value, trial.user_attrs) == (TrialState.COMPLETE, 0.6, {})


@pytest.mark.parametrize("word", ["lowest_third", "median"])
def test_the_lowest_third_at_a_rung_ends_there_and_a_rung_is_taken_twice(
    word: str, settings_of: Settings, optuna_url: str
) -> None:
    """`median` is what studies of earlier versions call it."""
    points = [{**POINT, "intermediate": name} for name in ("fact", "coh", "coh+fact")]
    more = [{**point, "target.learning_rate": 3e-3} for point in points]
    settings = settings_of(study={"pruner": word}, space={"points": [*points, *more]})
    study = OptunaStudy.open(optuna_url, settings)
    for number in range(5):
        asked = study.ask()
        assert not study.prunes(asked, rung=0, value=0.1 * number), "too few to compare with"
        study.tell_scored(asked, 0.8)
    study.ask()
    low, high = study.ask(), study.ask()
    again = OptunaStudy.open(optuna_url, settings)
    for one in (study, again):
        assert one.prunes(low, rung=0, value=0.05)
        assert one.prunes(low, rung=0, value=0.05), "taken up again, it reports the rung again"
        assert not one.prunes(low, rung=1, value=0.05), "nobody else was there yet"
    assert not study.prunes(high, rung=0, value=0.25)


@pytest.mark.parametrize("levels", [(0.70, 0.40), (0.40, 0.70)])
def test_the_order_of_the_targets_does_not_decide_what_is_pruned(
    levels: tuple[float, float], settings_of: Settings, optuna_url: str
) -> None:
    """Targets on unlike levels; one trial is hopeless on the second."""
    rates = {"low": 1e-4, "high": 1e-2}
    space = {"intermediate": ["none", "fact"], "target_learning_rate": rates, "num_baselines": 1}
    points = [{**POINT, "target.learning_rate": number * 1e-3} for number in range(1, 9)]
    settings = settings_of(study={"pruner": "lowest_third"}, space={**space, "points": points})
    study = OptunaStudy.open(optuna_url, settings)
    for number in range(8):
        asked = study.ask()
        for rung, level in enumerate(levels):
            study.prunes(asked, rung=rung, value=level + number / 1000)
        study.tell_scored(asked, sum(levels) / 2)
    last = study.ask()
    assert not study.prunes(last, rung=0, value=levels[0] + 0.01)
    assert study.prunes(last, rung=1, value=0.02)


def test_an_option_without_a_scored_trial_goes_on(settings_of: Settings, optuna_url: str) -> None:
    points = [{**POINT, "target.learning_rate": rate} for rate in (1e-3, 3e-3)]
    points += [{**POINT, "intermediate.learning_rate": 1e-3}, {**POINT, "intermediate": "coh"}]
    second = {**POINT, "intermediate": "coh", "target.learning_rate": 3e-3}
    settings = settings_of(study={"pruner": "lowest_third"}, space={"points": [*points, second]})
    study = OptunaStudy.open(optuna_url, settings)
    for _ in range(5):
        asked = study.ask()
        study.prunes(asked, rung=0, value=0.8)
        study.tell_scored(asked, 0.8)
    first, second_of_it = study.ask(), study.ask()
    assert [one.params["intermediate"] for one in (first, second_of_it)] == ["coh", "coh"]
    assert not study.prunes(first, rung=0, value=0.1)
    assert not study.prunes(second_of_it, rung=0, value=0.1), "the other is not scored yet"
    study.tell_scored(first, 0.3)
    assert study.prunes(second_of_it, rung=0, value=0.1)


def test_without_a_pruner_nothing_is_pruned(settings_of: Settings, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    for _ in range(5):
        asked = study.ask()
        study.prunes(asked, rung=0, value=0.8)
        study.tell_scored(asked, 0.8)
    assert not study.prunes(study.ask(), rung=0, value=0.0)


def test_importance(settings_of: Settings, optuna_url: str) -> None:
    settings = settings_of(space={"target_learning_rate": [1e-3, 2e-3, 3e-3, 4e-3]})
    study = OptunaStudy.open(optuna_url, settings)
    for number in range(16):
        asked = study.ask()
        if number == 3:
            assert study.importance() == {}
        study.tell_scored(asked, asked.params["target.learning_rate"] * 100)
    found = study.importance()
    assert found.keys() == {"intermediate", "target.learning_rate"}
    assert found["target.learning_rate"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    assert study.importance() == found


def test_importance_counts_each_plan_once(settings_of: Settings, optuna_url: str) -> None:
    """Of a plan that was told again, and of one that failed, nothing is learned."""
    points = [BASELINES[0]] * 3
    settings = settings_of(space={"target_learning_rate": [1e-3, 2e-3], "points": points})
    study = OptunaStudy.open(optuna_url, settings)
    first = study.ask()
    study.tell_scored(first, 0.1)
    for _ in range(4):
        asked = study.ask()
        if asked.plan in study.history.results:
            study.tell_duplicate(asked, study.history.results[asked.plan])
    study.tell_failed(asked, "it diverged")
    assert sum(trial.state is TrialState.COMPLETE for trial in raw(optuna_url).trials) == 4
    assert study.importance() == {}, "two plans are too few"


def test_importance_of_equal_scores_is_empty(settings_of: Settings, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    for _ in range(6):
        study.tell_scored(study.ask(), 0.5)
    assert study.importance() == {}


def test_another_study_file_under_the_same_name(settings_of: Settings, optuna_url: str) -> None:
    OptunaStudy.open(optuna_url, settings_of())
    OptunaStudy.open(optuna_url, settings_of(budget={"num_trials": 50}))  # this may change
    with pytest.raises(Refusal, match="'tiny' belongs to another study file") as caught:
        OptunaStudy.open(optuna_url, settings_of(study={"seed": 6}))
    assert "\n" not in str(caught.value)


def test_a_study_that_was_begun_before_pooling(settings_of: Settings, optuna_url: str) -> None:
    mean = settings_of().with_pooling(Pooling.MEAN)
    new = mean.with_pooling(Pooling.FIRST)
    OptunaStudy.open(optuna_url, mean)
    with pytest.raises(Refusal, match=r"set pooling = 'mean' in .* or choose another") as caught:
        OptunaStudy.open(optuna_url, new)
    assert "\n" not in str(caught.value)
    OptunaStudy.open(optuna_url, mean)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:hunter2@127.0.0.1:1/studies",
        "postgresql://someone:hunter2@127.0.0.1:port/studies",
        "postgresql://someone:hunt@er2@127.0.0.1:1/studies",
        "nonsense://someone:hunter2@host/studies",
        "someone:hunter2@host",
        "",
    ],
)
def test_a_database_that_cannot_be_reached(url: str, settings_of: Settings) -> None:
    with pytest.raises(Refusal) as caught:
        OptunaStudy.open(url, settings_of())
    assert "[tracking] optuna" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "er2" not in str(caught.value)


def test_a_path_that_cannot_be_written(settings_of: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "below" / "optuna.db", tmp_path):
        with pytest.raises(Refusal, match="cannot be used") as caught:
            OptunaStudy.open(f"sqlite:///{place}", settings_of())
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database(settings_of: Settings, tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("these are words, not tables " * 100)
    with pytest.raises(Refusal, match="cannot be used"):
        OptunaStudy.open(f"sqlite:///{tmp_path / 'optuna.db'}", settings_of())


def test_a_database_that_breaks_later(
    settings_of: Settings, optuna_url: str, tmp_path: Path
) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    asked = study.ask()
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        connection.execute("DROP TABLE trial_values")
        connection.execute("DROP TABLE trial_user_attributes")
        connection.execute("DROP TABLE study_user_attributes")
    for call in (
        lambda: study.tell_scored(asked, 0.5),
        lambda: study.read_mark("driver"),
        lambda: study.write_mark("driver", {}),
        study.ask,
    ):
        with pytest.raises(Refusal, match="the study database cannot be used") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_marks_are_read_fresh(settings_of: Settings, optuna_url: str) -> None:
    one, other = (OptunaStudy.open(optuna_url, settings_of()) for _ in range(2))
    assert one.read_mark("driver") is None
    other.write_mark("driver", {"id": "x", "time": 1.5})
    assert one.read_mark("driver") == {"id": "x", "time": 1.5}
    one.write_mark("driver", None)
    assert other.read_mark("driver") is None
