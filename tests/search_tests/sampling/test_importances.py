"""How much each parameter mattered, on trials where it is known."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from search.sampling.importances import parameter_importances

RATES = FloatDistribution(1e-5, 1e-3, log=True)
OPTIONS = CategoricalDistribution(("none", "fact"))


def trial(*values: float, **params: object) -> FrozenTrial:
    distributions = {"intermediate": OPTIONS, "rate": RATES, "masking": RATES}
    return optuna.trial.create_trial(
        values=list(values),
        params=params,
        distributions={name: distributions[name] for name in params},
    )


def trials() -> list[FrozenTrial]:
    """The option is worth 0.3, the rate hardly anything; in the second objective the other way."""
    return [
        trial(0.3 * (option == "fact") + 10 * rate, 1000 * rate, intermediate=option, rate=rate)
        for option in ("none", "fact")
        for rate in (2e-5, 1e-4, 3e-4, 9e-4)
    ]


def test_what_decides_is_named_first() -> None:
    found = parameter_importances(trials(), 0, seed=1)
    assert list(found) == ["intermediate", "rate"]
    assert found["intermediate"] > 0.9
    assert sum(found.values()) == pytest.approx(1.0)
    assert next(iter(parameter_importances(trials(), 1, seed=1))) == "rate"
    assert parameter_importances(trials(), 0, seed=1) == found, "the same seed says the same"


def test_of_parameters_that_all_trials_have() -> None:
    found = parameter_importances([*trials(), trial(0.1, 0.1, intermediate="none")], 0, seed=1)
    assert list(found) == ["intermediate"]


def test_nothing_where_nothing_can_be_told() -> None:
    assert parameter_importances(trials()[:3], 0, seed=1) == {}, "too few"
    level = [trial(0.5, intermediate="none", rate=rate) for rate in (1e-5, 1e-4, 3e-4, 9e-4)]
    assert parameter_importances(level, 0, seed=1) == {}, "all are equal"
    same = [trial(value, intermediate="none") for value in (0.1, 0.2, 0.3, 0.4)]
    assert parameter_importances(same, 0, seed=1) == {}, "nothing varies"
