"""What the findings hold, and the keys of their JSON, which other programs read."""

from dataclasses import fields
from typing import Any

from search.display.json_form import json_of
from search.findings.find import find
from search.findings.findings import Findings, Report
from search.report.forms import report_json, report_of

# Keys of `report --json`: one may be added, none may go.
REPORT = """
    study state digest selection baseline best best_mean baseline_mean gain languages
    objective_targets ranked
    objectives pareto max_drop trials verdicts unscored_languages intermediates gains degradation
    priors learning_rates flat_intermediates half_rates protocol protocol_differences
    overhead_seconds seconds phases retrains summary warnings answer
"""
TRIAL = """
    number name state params intermediate label rates objective values largest_drop is_feasible
    zero_shot_mean transfer_gap transfer_gain paired_gain worst_language collapsed
    collapsed_targets marks reason duplicate_of scores task_scores averages source_languages
    seconds
"""
GAIN = """
    mean low high std num is_paired num_first num_second collapsed_first collapsed_second sound
    excludes_zero
"""
DEGRADATION = """
    measured_on intermediate num_seeds num_languages min_languages counted left_out collapsed
    languages losers slopes unknown intermediate_languages
"""


def test_the_keys_of_the_json_stay(planted: Any) -> None:
    content: Any = report_json(planted.record_of(planted.study_rows()))
    assert set(content) == set(REPORT.split())
    assert [set(trial) for trial in content["trials"]] == [set(TRIAL.split())] * 9
    assert set(content["gain"]) == set(GAIN.split())
    assert set(content["degradation"]) == set(DEGRADATION.split())
    assert content["best"]["worst_language"] == [
        "rel",
        "tr",
        content["best"]["scores"]["rel"]["tr"],
    ]
    assert content["trials"][4]["marks"] == {"rel": "collapsed", "coh": "collapsed"}


def test_ranked_trials_come_best_first(planted: Any) -> None:
    findings = find(planted.record_of(planted.study_rows()))
    assert [trial.number for trial in findings.ranked_trials] == [3, 2, 1, 0, 4]


def test_a_report_is_its_findings_and_an_answer(planted: Any) -> None:
    record = planted.record_of(planted.study_rows())
    report, findings = report_of(record), find(record)
    assert [each.name for each in fields(Report)] == [
        *(each.name for each in fields(Findings)),
        "answer",
    ]
    assert {**json_of(findings), "answer": list(report.answer)} == json_of(report)
    assert report.answer[0].startswith("Intermediate training on fact lifts")
