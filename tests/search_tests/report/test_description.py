"""The note on a study's run: Markdown that a reader of MLflow's UI sees first."""

from dataclasses import replace
from typing import Any

from search.findings.find import find
from search.report.description import study_note


def test_the_answer_first_then_tables(planted: Any) -> None:
    lines = study_note(find(planted.record_of(planted.study_rows()))).splitlines()
    assert lines[0].startswith("Intermediate training on fact lifts the zero-shot mean by +9.0")
    assert "| trial | intermediate | objective | zero-shot mean | gap | gain |" in lines
    assert any(line.startswith("| 3 | fact | 61.0 | 61.0 |") for line in lines)
    assert any(line.startswith("| gain of | ") for line in lines)
    assert lines[-1].startswith("Share of the objective")


def test_nothing_scored_is_said(planted: Any) -> None:
    note = study_note(find(planted.record_of(())))
    assert note.startswith("No trial is scored yet")
    assert "|---|" not in note


def test_names_are_no_markup(planted: Any) -> None:
    found = find(planted.record_of(planted.study_rows()))
    hostile = "a|b <img src=x> [x](javascript:1) `c` $d$"
    trials = tuple(replace(trial, label=hostile) for trial in found.trials)
    note = study_note(replace(found, trials=trials))
    assert "a\\|b \\<img src=x\\> \\[x\\](javascript:1) \\`c\\` \\$d\\$" in note
