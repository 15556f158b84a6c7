"""What is logged, as values: codecs to the last bit, names, metrics."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.record import entries
from search.trials.ranking import PhaseRow, TrialRow, TrialState
from spaces.tasks.catalogue import SHIPPED


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(st.floats(0, 1), st.floats(1e-7, 0.5, exclude_max=True))
def test_a_trial_comes_back_to_the_last_bit(planted: Any, score: float, rate: float) -> None:
    row = planted.scored(3, score, "fact", rate=rate)
    back = TrialRow.from_dict(through_json(row.to_dict()), SHIPPED)
    assert back == row
    assert back.objective == score
    assert back.plan.intermediate.learning_rate == rate


def test_trials_of_every_end_come_back(planted: Any) -> None:
    for row in planted.study_rows():
        assert TrialRow.from_dict(through_json(row.to_dict()), SHIPPED) == row


def test_a_score_that_is_no_number_comes_back_too(planted: Any) -> None:
    row = replace(planted.scored(0, 0.5, None), objective=math.nan)
    back = TrialRow.from_dict(through_json(row.to_dict()), SHIPPED)
    assert math.isnan(back.objective)


def test_a_phase_comes_back(planted: Any) -> None:
    for row in (planted.phase_row("k"), planted.phase_row("k", parent="p", dev_score=None)):
        assert PhaseRow.from_dict(through_json(row.to_dict())) == row


@pytest.mark.parametrize(
    ("source", "rate", "target_rate", "name"),
    [
        ("fact", 2e-4, 1e-4, "0007 fact 2e-04 -> 1e-04"),
        ("fact", 1.5e-5, 1e-4, "0007 fact 1.5e-05 -> 1e-04"),
        (None, 2e-4, 3e-5, "0007 baseline 3e-05"),
    ],
)
def test_names_of_trials(
    planted: Any, source: str | None, rate: float, target_rate: float, name: str
) -> None:
    assert entries.trial_name(7, planted.plan(source, rate, target_rate)) == name


def test_target_phases_know_their_targets(planted: Any) -> None:
    row = planted.scored(1, 0.5, "fact")
    intermediate, rel, coh = row.phase_keys
    assert entries.target_phases(row) == {rel: ("rel",), coh: ("coh",)}
    # A trial that was taken up again reported its phases twice.
    again = replace(row, phase_keys=(intermediate, rel, rel, coh))
    assert entries.target_phases(again) == {rel: ("rel",), coh: ("coh",)}
    # With one missing nobody knows which; the models are logged, without targets.
    assert entries.target_phases(replace(row, phase_keys=(intermediate, rel))) == {rel: ()}


def test_without_a_target_that_trains_the_intermediate_is_the_model(planted: Any) -> None:
    plan = planted.plan("fact")
    only_retrieval = replace(plan, targets=plan.targets[2:])
    row = replace(planted.scored(0, 0.5, None), plan=only_retrieval, phase_keys=("k",))
    assert entries.target_phases(row) == {"k": ()}
    (entry,) = entries.model_entries(row, {"k": {"uri": "file:///x"}})
    assert (entry["name"], entry["metrics"]) == ("trial-0000-k", [])


def test_a_pruned_trial_has_scores_but_no_gain(planted: Any) -> None:
    """It lacks targets, so that its mean is of something else."""
    row = replace(planted.scored(1, 0.6, "fact"), state=TrialState.PRUNED)
    entry = entries.trial_entry(row, baseline=planted.scored(0, 0.5, None))
    assert "zero_shot_mean" in entry["metrics"]
    assert "transfer_gain" not in entry["metrics"]
    assert entry["status"] == "KILLED"


def test_settings_are_params_by_dotted_name_within_the_limit() -> None:
    settings = {
        "study": {"name": "s", "revision": None, "seed": 0},
        "space": {"intermediate": ["fact", "rel"], "rates": (1e-5, 2e-5), "points": []},
        "training": {"target": {"num_steps": 5}, "targets": {"rel": {"num_steps": 7}}},
        "many": {f"n{i}": i for i in range(200)},
    }
    params = entries.study_started("s", settings=settings, digest="d", versions={})["params"]
    assert params["space.intermediate"] == "fact, rel"
    assert params["space.rates"] == "1e-05, 2e-05"
    assert params["study.seed"] == "0"
    assert params["training.target.num_steps"] == "5"
    assert "study.revision" not in params
    assert not any(name.startswith("training.targets") for name in params)
    assert len(params) == 90


def test_an_entry_is_a_line_of_json(planted: Any) -> None:
    made = [
        entries.study_started("s", settings={}, digest="d", versions={"torch": "2"}),
        *(entries.trial_entry(row, baseline=None) for row in planted.study_rows()),
        entries.phase_entry(planted.phase_row("k"), plan_phase={}),
        entries.gains_entry({3: {"transfer_gain": 0.1}}, {3: {"feasible": "true"}}),
        entries.study_finished(
            "s", rows=[], phases=[], summary={}, best=planted.scored(1, 0.5, "fact")
        ),
    ]
    for entry in made:
        assert through_json(entry) == entry
