"""What is written to one study of Optuna's database, and read again."""

import optuna
import pytest
from optuna.trial import TrialState

from search.sampling.ledger import Ledger
from spaces.refusal import Refusal


@pytest.fixture
def study(optuna_url: str) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=optuna_url, direction="maximize")


def asked(ledger: Ledger, **params: float) -> int:
    trial = ledger.ask(params, {"generation": 2})
    for name in params:
        trial.suggest_float(name, 0.0, 1.0)
    return trial.number


def test_a_trial_is_asked_with_the_params_that_were_drawn(study: optuna.Study) -> None:
    ledger = Ledger(study)
    number = asked(ledger, rate=0.25)
    (frozen,) = ledger.trials()
    assert (frozen.number, frozen.params, frozen.state) == (
        number,
        {"rate": 0.25},
        TrialState.RUNNING,
    )
    assert frozen.system_attrs["generation"] == 2
    assert ledger.trials(TrialState.COMPLETE) == []


def test_what_a_trial_is_told_stays(study: optuna.Study) -> None:
    """A driver that was killed tells it again: nothing is changed, nothing is raised."""
    ledger = Ledger(study)
    number = asked(ledger, rate=0.25)
    ledger.mark(number, "reason", "first")
    ledger.constrain(number, {"max_drop": -0.1})
    ledger.constrain(number, {"max_drop": 0.9})
    assert ledger.tell(number, TrialState.COMPLETE, [0.7]).values == [0.7]
    ledger.mark(number, "reason", "second")
    ledger.constrain(number, {"other": 1.0})
    assert ledger.tell(number, TrialState.COMPLETE, [0.1]).values == [0.7]
    (frozen,) = ledger.trials()
    assert frozen.user_attrs["reason"] == "first"
    assert frozen.constraints == {"max_drop": -0.1}


def test_the_first_value_of_a_rung_stays(study: optuna.Study) -> None:
    ledger = Ledger(study)
    number = asked(ledger, rate=0.25)
    for value in (0.4, 0.9):
        ledger.report(number, 1, value)
    (frozen,) = ledger.trials()
    assert frozen.intermediate_values == {1: 0.4}


def test_marks_on_the_study_are_read_fresh(study: optuna.Study, optuna_url: str) -> None:
    ledger = Ledger(study)
    assert ledger.read_mark("driver") is None
    other = Ledger(optuna.load_study(study_name="s", storage=optuna_url))
    other.write_mark("driver", {"pid": 1})
    assert ledger.read_mark("driver") == {"pid": 1}
    ledger.write_mark("driver", None)
    assert other.read_mark("driver") is None


def test_a_database_that_fails_is_one_line(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise optuna.exceptions.StorageInternalError("gone")

    monkeypatch.setattr(study, "get_trials", away)
    with pytest.raises(Refusal, match="database"):
        Ledger(study).trials()
