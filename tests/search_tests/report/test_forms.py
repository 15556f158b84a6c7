"""The three forms of the report: JSON, terminal, page."""

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from search.degradation.typology import distances
from search.glance.steps import Asked
from search.record.reader import StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.forms import render, render_glance, render_html, report_json
from search.trials.ranking import TrialRow
from spaces.refusal import Refusal
from trainables.scoring.scores import Mark, Scores

HOSTILE = "\"><script>alert(1)</script>&'{{7*7}}[red]"


def record_of(rows: tuple[TrialRow, ...], **fields: Any) -> StudyRecord:
    given: dict[str, Any] = {
        "name": "pocket",
        "state": "finished",
        "digest": "abc",
        "settings": RecordedSettings.parse({"evaluation": {"languages": ["de", "tr", "sw"]}}),
        "phases": (),
        "summary": {"importance": {"target.learning_rate": 0.7}},
        "retrains": (),
    }
    return StudyRecord(**{**given, **fields}, rows=rows)


def on_terminal(record: StudyRecord, width: int = 80, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width)
    render(record, console, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Page(HTMLParser):
    """Counts tags and keeps the text and titles of a page."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_json_has_the_promised_shape(planted: Any) -> None:
    found = report_json(record_of(planted.study_rows()))
    assert {"study", "baseline", "best", "trials"} <= found.keys()
    keys = (
        "number state params objective zero_shot_mean transfer_gap transfer_gain paired_gain scores"
    )
    assert all(set(keys.split()) <= trial.keys() for trial in found["trials"])
    assert found["best"] in found["trials"]
    assert found["answer"][0].startswith("Intermediate training on fact lifts")
    assert json.loads(json.dumps(found)) == found
    assert report_json(record_of(()))["best"] is None


def test_the_terminal_shows_ranking_matrix_and_answer(planted: Any) -> None:
    text = on_terminal(record_of(planted.study_rows()))
    lines = [line.split() for line in text.splitlines()]
    ranking = [line[0] for line in lines if len(line) > 3 and line[0].isdigit() and line[1] != "of"]
    assert ranking == ["3", "2", "1", "0", "4", "5", "6", "7", "8"]
    assert ["3", "fact", "2e-4", "→", "2e-4", "61.0", "61.0", "25.0", "+9.0"] in lines
    assert ["tr", "51.0", "+9.0", "56.0", "+9.0", "30.3", "+3.0"] in lines
    assert ["en", "81.0*", "+9.0", "91.0*", "+9.0"] in lines
    assert "collapsed" in text
    flat = " ".join(text.split())
    assert "lifts the zero-shot mean by +9.0 points over the best baseline" in flat
    assert "The rule target_dev finds no rows in sw" in flat
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_the_glance_of_a_record(planted: Any) -> None:
    console = Console(file=io.StringIO(), width=80)
    render_glance(record_of(planted.study_rows()), console, Asked(study="p.toml", home="/h"))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Intermediate training on fact is best in this search: +9.0 points" in text
    assert "transfer-search retrain p.toml --home /h" in text
    rows = (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact", data="d2"))
    with pytest.raises(Refusal, match="data"):
        render_glance(record_of(rows), console)


def test_the_page_opens_with_the_glance_and_its_figure(planted: Any) -> None:
    judged = {"trial": 3, "baseline": 1, "languages": planted.verdict_cells()}
    text = render_html(record_of(planted.study_rows(), summary={"verdicts": judged}))
    first, rest = text.split("<h2>", 1)
    assert "is best in this search" in first
    assert first.count("<svg") == 1
    assert "Filled points are significant" in first
    assert "transfer-search retrain pocket" in first
    assert rest.startswith("In sentences")
    untested = render_html(record_of(planted.study_rows())).split("<h2>", 1)[0]
    assert "significant was not tested" in " ".join(untested.split())
    assert "<svg" not in render_html(record_of(planted.study_rows()[:2])).split("<h2>", 1)[0]


def test_the_table_of_gains_says_what_collapsed_on_both_sides(planted: Any) -> None:
    rows = (
        planted.scored(0, 0.5, None, marks={"rel": Mark.COLLAPSED}),
        planted.scored(1, 0.6, "fact", marks={"coh": Mark.COLLAPSED}),
    )
    for text in (on_terminal(record_of(rows), width=120), render_html(record_of(rows))):
        table = text[text.index("the baseline's scores") :]
        before, after = table.split("fact", 1)
        assert before.count("1 of 1 collapsed") == 1
        assert after.count("1 of 1 collapsed") >= 1


def test_the_answer_comes_before_the_tables(planted: Any) -> None:
    text = on_terminal(record_of(planted.study_rows()))
    assert text.startswith("Intermediate training on fact lifts the zero-shot mean by +9.0 points")
    assert text.count("Intermediate training on fact lifts") == 1


def test_a_mark_that_is_no_collapse_is_shown_too(planted: Any) -> None:
    rows = (planted.scored(0, 0.4, None, mark=Mark.NO_SIGNAL),)
    assert "no signal (rel, coh)" in on_terminal(record_of(rows), width=120)
    assert "no signal" in render_html(record_of(rows))


def test_a_long_study_is_cut_on_the_terminal_only(planted: Any) -> None:
    rows = tuple(planted.scored(n, 0.5 + n / 1000, "fact") for n in range(40))
    assert "and 10 more" in on_terminal(record_of(rows))
    assert Page(render_html(record_of(rows))).tags.count("tr") > 40


def test_the_page_is_whole_and_needs_nothing_else(planted: Any) -> None:
    text = render_html(record_of(planted.study_rows()))
    page = Page(text)
    assert "http" not in text.replace("http://www.w3.org/", ""), "names of SVG alone"
    assert "prefers-color-scheme: dark" in text
    assert page.tags.count("script") == 1
    words = " ".join(" ".join(page.text).split())
    assert "Intermediate training on fact lifts" in words
    assert "81.0*" in words
    assert "61.0" in words
    assert "collapsed (rel, coh)" in words
    assert "1 of 1 collapsed" in words
    assert "failed: loss was not finite, twice" in words
    assert any("metric: accuracy" in title for title in page.titles)
    assert any("100 rows" in title for title in page.titles)


@pytest.mark.parametrize("rows", [slice(0, 0), slice(5, 9), slice(0, 1), slice(2, 3)])
def test_studies_that_have_just_begun_render(planted: Any, rows: slice) -> None:
    record = record_of(
        planted.study_rows()[rows],
        state="running",
        settings=RecordedSettings(),
        summary={},
        digest="",
    )
    assert report_json(record)["state"] == "running"
    assert on_terminal(record)
    assert Page(render_html(record)).tags


def test_hostile_strings_stay_text(planted: Any) -> None:
    target = planted.target_scores(HOSTILE, {"en": 0.5, HOSTILE: 0.4, "tr": 0.3}, labels=HOSTILE)
    row = replace(
        planted.scored(0, 0.4, None, mark=Mark.COLLAPSED),
        params={HOSTILE: HOSTILE},
        scores=Scores(targets=(target,)),
    )
    failed = planted.unscored(1, planted.study_rows()[5].state, reason=HOSTILE)
    record = record_of(
        (row, failed, planted.scored(2, 0.6, "fact")),
        name=HOSTILE,
        digest=HOSTILE,
        summary={"importance": {HOSTILE: 0.5}},
    )
    page = Page(render_html(record))
    assert page.tags.count("script") == 1
    assert any(HOSTILE in part for part in page.text)
    assert any(HOSTILE in title for title in page.titles)
    assert "49" not in page.text
    text = on_terminal(record, width=400)
    assert f"Study {HOSTILE}" in text


def test_scores_that_do_not_compare_are_refused_unless_forced(planted: Any) -> None:
    rows = (planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact", data="d2"))
    record = record_of(rows)
    for form in (report_json, render_html, on_terminal):
        with pytest.raises(Refusal, match="data"):
            form(record)
        assert "are not comparable between trials: data differ" in str(
            form(record, force=True)
        ).replace("\n", " ")


def test_where_transfer_is_lost_is_in_all_forms(planted: Any) -> None:
    """Twelve languages on real distances: a gap that follows geography, halved by fact."""
    codes = ("de", "fr", "ru", "tr", "fi", "ar", "hi", "ja", "zh", "sw", "es", "vi")
    far = distances("en", codes)["geographic"]

    def row(number: int, source: str | None, slope: float) -> TrialRow:
        values = {"en": 0.9, **{code: 0.85 - slope * far[code] for code in codes}}
        scores = Scores(targets=(planted.target_scores("rel", values),))
        level = scores.zero_shot_mean
        return replace(planted.scored(number, level, source), scores=scores, objective=level)

    rows = (row(0, None, 1.0), row(1, "fact", 0.5))
    record = record_of(rows)
    found = report_json(record)
    (line,) = [text for text in found["answer"] if text.startswith("With fact the gap grows less")]
    assert "geographic (−" in line
    slope = next(s for s in found["degradation"]["slopes"] if s["kind"] == "geographic")
    assert slope["before"]["value"] == pytest.approx(1)
    assert slope["change"]["value"] == pytest.approx(-0.5)
    assert json.loads(json.dumps(found)) == found
    shown = on_terminal(record, width=120)
    assert "Gap from near to far languages (trial 1 beside trial 0)" in shown
    assert line in " ".join(shown.split())
    text = render_html(record)
    page = Page(text)
    assert "Where transfer is lost" in page.text
    assert text.count('class="scatter"') == len(found["degradation"]["slopes"])
    assert page.tags.count("circle") > 2 * len(codes)
    known = [replace(r, plan=replace(r.plan, encoder="FacebookAI/xlm-roberta-base")) for r in rows]
    kinds = {
        slope["kind"] for slope in report_json(record_of(tuple(known)))["degradation"]["slopes"]
    }
    assert kinds - {slope["kind"] for slope in found["degradation"]["slopes"]} == {"pretraining"}
    few = render_html(record_of(planted.study_rows()))
    assert 'class="scatter"' not in few
    assert any("a slope needs at least 5" in text for text in Page(few).text)


def test_the_page_has_the_verdicts_by_language(planted: Any) -> None:
    judged = {"trial": 3, "baseline": 1, "languages": planted.verdict_cells()}
    page = Page(render_html(record_of(planted.study_rows(), summary={"verdicts": judged})))
    text = " ".join(page.text)
    assert "Verdicts by language" in text
    assert "on the rows that also chose it" in text
    assert [call for call in page.text if call in ("better", "tie", "worse")] == [
        "better",
        "tie",
        "worse",
    ]
    assert "Verdicts by language" not in render_html(record_of(planted.study_rows()))
