"""The priors on a terminal, and the sentence and table of the report, on planted records."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.display.json_form import from_json
from search.planning.prior_views import prior_sentences, show_priors
from search.planning.priors import Priors
from search.record.reader import StudyRecord
from search.report.forms import render, render_html, report_of


def row(place: int, option: str, **fields: Any) -> dict[str, Any]:
    given = {"place": place, "option": option, "rank": float(place), "logme": 0.5 - place / 10}
    empty = {"similarity": None, "typology": None, "ranks": {"logme": float(place)}}
    return {**given, **empty, **fields}


PRIORS = {
    "options": [row(1, "fact"), row(2, "[red]coh"), row(3, "rel", logme=None)],
    "notes": ["texts are compared at layer 3"],
    "first": [{"intermediate": "fact"}, {"intermediate": "[red]coh"}],
}


def recorded(planted: Any, priors: dict[str, Any] | None, *more: Any) -> StudyRecord:
    record = planted.record_of((*planted.study_rows()[:4], *more))
    return replace(record, summary={**record.summary, "priors": priors})


@pytest.mark.parametrize(("is_used", "said"), [(True, "tried first, after"), (False, "not used")])
def test_the_ranks_on_a_terminal(is_used: bool, said: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    priors = from_json(Priors, PRIORS, where="priors")
    show_priors(priors, console, is_used=is_used)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "fact", "1.0", "0.400", "(1)", "–", "–"] in lines
    assert ["3", "rel", "3.0", "–", "(3)", "–", "–"] in lines
    assert "[red]coh" in text
    assert "texts are compared at layer 3" in text
    assert f"{said}" in text
    assert "fact, [red]coh" in text


def test_the_report_says_how_right_they_were(planted: Any) -> None:
    priors = {**PRIORS, "options": [row(1, "fact"), row(2, "coh"), row(3, "rel")]}
    rows = (planted.scored(4, 0.55, "coh"), planted.scored(5, 0.5, "rel"))
    record = recorded(planted, priors, *rows)
    report = report_of(record)
    assert report.priors is not None
    assert report.priors.mean is not None
    assert report.priors.mean.correlation == pytest.approx(1)
    (sentence,) = prior_sentences(report.priors)
    assert sentence in report.answer
    assert "3 of 3 options has a rank correlation of +1.00 with the mean" in sentence
    assert "in 17% of all orders" in sentence
    assert "with so few options this says little" in sentence
    console = Console(file=io.StringIO(), width=80)
    render(record, console)
    assert isinstance(console.file, io.StringIO)
    assert "rank correlation of +1.00" in " ".join(console.file.getvalue().split())
    page = render_html(record)
    assert "<h2>Priors</h2>" in page
    assert "rank correlation +1.00 with the mean objective" in page
    assert page.count("coh</td><td>2.0</td>") == 1


def test_of_too_few_it_says_that_nothing_can_be_told(planted: Any) -> None:
    (sentence,) = prior_sentences(report_of(recorded(planted, PRIORS)).priors)
    assert "The priors cannot be judged: 1 of 3 options have a score" in sentence
    assert "<script>hostile" not in render_html(
        recorded(planted, {**PRIORS, "notes": ["<script>hostile"]})
    )


def test_without_priors_nothing_is_said(planted: Any) -> None:
    for record in (recorded(planted, None), planted.record_of(planted.study_rows())):
        priors = report_of(record).priors
        assert priors is None
        assert list(prior_sentences(priors)) == []
        assert "<h2>Priors</h2>" not in render_html(record)
