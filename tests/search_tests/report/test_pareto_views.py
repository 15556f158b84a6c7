"""What a report says of several objectives and of trials that may not win, on planted rows."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.findings.find import find
from search.record.reader import StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.description import study_note
from search.report.forms import render, render_html, report_json
from search.report.pareto_views import objective_sentences, pareto_rows

NAMES = ["zero_shot_mean", "hours"]


@pytest.fixture
def record(planted: Any) -> StudyRecord:
    """Two objectives: fact scores best, baseline 1 is cheapest; trial 3 falls too far."""
    hours = {0: 0.2, 1: 0.125, 2: 0.5, 3: 0.25, 4: 0.25}
    rows = tuple(
        replace(
            row,
            values={"zero_shot_mean": row.objective, "hours": hours[row.number]},
            largest_drop=0.031 if row.number == 3 else 0.0,
            is_feasible=row.number != 3,
        )
        if row.number in hours
        else row
        for row in planted.study_rows()
    )
    whole = planted.record_of(rows)
    evaluation = {"objectives": NAMES, "max_drop": 0.01}
    importances = {"zero_shot_mean": {"intermediate": 0.8}, "hours": {"intermediate": 1.0}}
    summary = {**whole.summary, "pareto": [2, 1], "importances": importances}
    return replace(
        whole, settings=RecordedSettings.parse({"evaluation": evaluation}), summary=summary
    )


def test_the_sentences(record: StudyRecord) -> None:
    found = find(record)
    assert found.best.number == 2
    first, second, third = objective_sentences(found)
    assert first.startswith(
        "Pareto set of zero_shot_mean, hours: 2 (fact 2e-04 -> 1e-04), 1 (baseline 2e-04); no trial"
    )
    assert "Trial 2 is the best in zero_shot_mean, the first objective" in first
    assert second.startswith("1 of 5 scored trials may not win")
    assert "more than 1.0 points under their baseline" in second
    assert third.startswith("The best of these, trial 3 (fact 2e-04 -> 2e-04), has a gain of +9.0")
    assert "falls by 3.1 where it falls most" in third


def test_a_study_with_one_objective_says_nothing(planted: Any) -> None:
    found = find(planted.record_of(planted.study_rows()))
    assert list(objective_sentences(found)) == []
    assert pareto_rows(found) == []


def test_an_empty_set_is_said(record: StudyRecord) -> None:
    empty = replace(record, summary={"pareto": []})
    assert next(objective_sentences(find(empty))).startswith("The Pareto set is empty")
    running = replace(empty, state="running")
    assert not next(objective_sentences(find(running))).startswith("The Pareto set")


def test_every_form_of_the_report_has_the_set(record: StudyRecord) -> None:
    console = Console(width=160, record=True)
    render(record, console)
    page, note = render_html(record), study_note(find(record))
    printed = console.export_text()
    for text in (printed, page, note):
        assert "0.125 h" in text
        assert "Share of hours variation by param: intermediate 1.00" in text.replace("\\_", "_")
    assert "Pareto set" in printed
    assert "may not win: −3.1" in printed
    assert "<h2>Pareto set</h2>" in page
    assert "| trial | plan | zero\\_shot\\_mean | hours |" in note
    pareto: Any = report_json(record)["pareto"]
    assert [entry["number"] for entry in pareto] == [2, 1]
    assert pareto[1]["values"] == {"zero_shot_mean": 0.52, "hours": 0.125}


def test_a_baseline_may_be_the_best_in_what_it_costs(record: StudyRecord) -> None:
    rows = tuple(replace(row, values=dict(reversed(row.values.items()))) for row in record.rows)
    evaluation = {"objectives": NAMES[::-1]}
    answer = report_json(
        replace(record, rows=rows, settings=RecordedSettings.parse({"evaluation": evaluation}))
    )["answer"]
    assert answer[0] == "The best trial in hours, the first objective, is a baseline."


def test_a_baseline_may_be_the_best_that_is_allowed(record: StudyRecord, planted: Any) -> None:
    rows = tuple(
        replace(row, values={}, is_feasible=row.plan.is_baseline) if row.values else row
        for row in record.rows
    )
    evaluation = {"max_drop": 0.01}
    changed = replace(
        record, rows=rows, settings=RecordedSettings.parse({"evaluation": evaluation}), summary={}
    )
    answer = report_json(changed)["answer"]
    assert answer[0].startswith("No intermediate training that may win beats the best baseline")
