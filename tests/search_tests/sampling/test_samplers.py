"""Samplers over several objectives and with constraints: no training, Optuna's own database."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from search.sampling.samplers import directions
from search.sampling.study import AskedTrial, OptunaStudy
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
BOTH = {"objectives": ["zero_shot_mean", "hours"]}
SPACE = {
    "intermediate_learning_rate": {"low": 1e-5, "high": 1e-2},
    "target_learning_rate": {"low": 1e-5, "high": 1e-1},
}


def worth(asked: AskedTrial) -> tuple[float, float]:
    """A score that rises with the target rate; hours that an intermediate task takes more of."""
    rate = asked.params["target.learning_rate"]
    first = asked.params["intermediate"]
    return 0.5 + rate, 0.1 + 0.1 * len(first.split("+")) * (first != "none")


def drop(asked: AskedTrial) -> dict[str, float]:
    """What has `coh` in it is not allowed."""
    return {"max_drop": 0.2 if "coh" in asked.params["intermediate"] else -0.01}


def test_directions(settings_of: Settings) -> None:
    assert directions(settings_of()) == [StudyDirection.MAXIMIZE]
    names = ["transfer_gap", "worst_language", "hours", "source_score"]
    found = directions(settings_of(evaluation={"objectives": names}))
    assert [direction.name for direction in found] == [
        "MINIMIZE",
        "MAXIMIZE",
        "MINIMIZE",
        "MAXIMIZE",
    ]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_draws_over_two_objectives_do_not_depend_on_restarts(
    sampler: str, settings_of: Settings, tmp_path: Path, empty_optuna: bytes
) -> None:
    settings = settings_of(
        study={"sampler": sampler}, space=SPACE, evaluation={**BOTH, "max_drop": 0.01}
    )

    def draw(name: str, *, reopen: bool) -> list[dict[str, Any]]:
        path = tmp_path / name
        path.write_bytes(empty_optuna)
        study, params = OptunaStudy.open(f"sqlite:///{path}", settings), []
        for _ in range(13):  # past the first generation of eight, the baselines among them
            asked = study.ask()
            params.append(dict(asked.params))
            study.tell_scored(asked, *worth(asked), constraints=drop(asked))
            if reopen:
                study = OptunaStudy.open(f"sqlite:///{path}", settings)
        return params

    straight = draw("a.db", reopen=False)
    assert draw("b.db", reopen=True) == straight
    raw = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path / 'a.db'}")
    assert [d.name for d in raw.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(list(trial.constraints) == ["max_drop"] for trial in raw.trials)
    if sampler == "nsga2":
        generations = Counter(t.system_attrs["NSGAIISampler:generation"] for t in raw.trials)
        assert generations == {0: 8, 1: 5}


@pytest.mark.parametrize(("sampler", "num_trials"), [("tpe", 18), ("nsga2", 32), ("gp", 13)])
def test_a_sampler_holds_to_a_constraint(
    sampler: str, num_trials: int, settings_of: Settings, optuna_url: str
) -> None:
    """Half of the space has `coh`, and is the better half; the other objective tells nothing."""
    settings = settings_of(
        study={"sampler": sampler}, space=SPACE, evaluation={**BOTH, "max_drop": 0.01}
    )
    study, drawn = OptunaStudy.open(optuna_url, settings), []
    for _ in range(num_trials):
        asked = study.ask()
        has_coh = "coh" in asked.params["intermediate"]
        study.tell_scored(asked, 0.6 + 0.2 * has_coh, 0.1, constraints=drop(asked))
        drawn.append(has_coh)
    assert sum(drawn[num_trials // 2 :]) <= num_trials // 8, "at random half of them"


def test_a_duplicate_is_told_all_values_and_constraints(
    settings_of: Settings, optuna_url: str
) -> None:
    point = {"intermediate": "none", "target.learning_rate": 1e-3}
    settings = settings_of(evaluation={**BOTH, "max_drop": 0.01}, space={"points": [point]})
    study = OptunaStudy.open(optuna_url, settings)
    first, _, again = (study.ask() for _ in range(3))
    study.tell_scored(first, 0.6, 1.5, constraints={"max_drop": 0.02})
    for one in (study, OptunaStudy.open(optuna_url, settings)):
        assert one.history.results[again.plan].values == (0.6, 1.5)
        assert one.history.results[again.plan].constraints == {"max_drop": 0.02}
    study.tell_duplicate(again, study.history.results[again.plan])
    told = optuna.load_study(study_name="tiny", storage=optuna_url).trials[again.number]
    assert (told.values, told.constraints) == ([0.6, 1.5], {"max_drop": 0.02})


def test_a_driver_that_died_between_constraint_and_value(
    settings_of: Settings, optuna_url: str
) -> None:
    """The trial runs again under its number, and is told both again."""
    study = OptunaStudy.open(optuna_url, settings_of(evaluation={"max_drop": 0.01}))
    asked = study.ask()
    study._ledger.constrain(asked.number, {"max_drop": 0.02})
    again = OptunaStudy.open(optuna_url, settings_of(evaluation={"max_drop": 0.01}))
    again.tell_scored(again.running()[0], 0.5, constraints={"max_drop": 0.02})
    again.tell_scored(asked, 0.7, constraints={"max_drop": -1.0})
    trial = optuna.load_study(study_name="tiny", storage=optuna_url).trials[0]
    assert (trial.values, trial.constraints) == ([0.5], {"max_drop": 0.02})


def test_importance_of_each_objective(settings_of: Settings, optuna_url: str) -> None:
    space = {"target_learning_rate": [1e-3, 2e-3, 3e-3, 4e-3]}
    study = OptunaStudy.open(optuna_url, settings_of(space=space, evaluation=BOTH))
    for _ in range(16):
        asked = study.ask()
        rate, hours = asked.params["target.learning_rate"], len(asked.params["intermediate"])
        study.tell_scored(asked, 100 * rate, float(hours))
    of_score, of_hours = study.importance(0), study.importance(1)
    assert of_score["target.learning_rate"] > 0.9
    assert of_hours["intermediate"] > 0.9
