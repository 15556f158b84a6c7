"""Figures: one SVG each, the same bytes each time, nothing where there is nothing to draw."""

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from search.findings.find import find
from search.glance.evidence import LanguageGain
from search.report.figures import (
    MAX_COLUMNS,
    figures,
    heatmap,
    language_gains,
    not_dominated,
)
from search.trials.language_verdicts import Call

HOSTILE = "$x</text><script>alert(1)</script>"


@pytest.fixture(scope="module")
def found(planted: Any) -> Any:
    return find(planted.record_of(planted.study_rows()))


def test_every_figure_is_one_svg_and_the_same_each_time(found: Any) -> None:
    drawn = figures(found)
    assert set(drawn) == {"heatmap", "gains", "rates", "tradeoff", "importance"}
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "currentColor" in svg
        assert not re.search(r"https?://(?!www\.w3\.org)", svg), "nothing is fetched"
    assert figures(found) == drawn


def test_what_they_say(found: Any) -> None:
    drawn = {name: "".join(texts(svg)) for name, svg in figures(found).items()}
    assert "3 fact" in drawn["heatmap"]
    assert "fact" in drawn["gains"]
    assert "+9.0" in drawn["gains"], "0.61 against 0.52"
    assert "learning rate, intermediate phase" in drawn["rates"]
    assert "0.0002" in drawn["rates"]
    assert not any("mathdefault" in text for text in drawn.values())
    assert "target.learning_rate" in drawn["importance"]


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if "text" in node.tag]


def test_nothing_where_there_is_nothing(planted: Any) -> None:
    record = replace(planted.record_of(()), state="running", summary={})
    assert figures(find(record)) == {}


def test_names_are_text(found: Any) -> None:
    trials = tuple(replace(trial, label=HOSTILE) for trial in found.trials)
    rows = tuple(replace(row, label=HOSTILE) for row in found.gains.rows)
    hostile = replace(found, trials=trials, gains=replace(found.gains, rows=rows))
    for name in ("heatmap", "gains", "rates"):
        svg = figures(hostile)[name]
        assert "<script" not in svg
        assert any(HOSTILE[:20] in text for text in texts(svg)), name


def test_many_columns_become_languages(found: Any) -> None:
    scores = {
        f"task{n}": {f"l{k}": 0.5 + n / 100 for k in range(20)}
        for n in range(MAX_COLUMNS // 20 + 1)
    }
    trials = tuple(replace(trial, scores=scores) for trial in found.trials)
    svg = heatmap(replace(found, trials=trials))
    assert svg is not None
    names = texts(svg)
    assert "l3" in names
    assert not any(name.startswith("task") for name in names)


def test_the_front_is_what_no_other_beats() -> None:
    points = [(0.5, 0.2), (0.4, 0.3), (0.4, 0.2), (0.5, 0.2), (0.6, 0.1)]
    assert not_dominated(points) == [0, 1, 3, 4]


def test_gains_by_language_have_a_panel_a_target_and_intervals_where_they_were_tested() -> None:
    def gain(task: str, language: str, mean: float, **tested: Any) -> LanguageGain:
        return LanguageGain(task=task, language=language, mean=mean, **tested)

    cells = (
        gain("retrieval", "de", -0.2, low=-0.3, high=-0.1, call=Call.WORSE),
        gain("rel", "de", 0.1, low=0.0, high=0.2, call=Call.TIE),
        gain("rel", "tr", 0.3, low=0.2, high=0.4, call=Call.BETTER),
        gain("rel", "fi", 0.2),
    )
    svg = language_gains(cells, ["rel"])
    assert svg is not None
    assert svg.index(">rel<") < svg.index(">(retrieval)<"), "the objective first"
    order = [svg.index(f">{code}<") for code in ("de", "fi", "tr")]
    assert order == sorted(order), "ticks from below: the language that gains most is at the top"
    assert svg.count("#1e824c") >= 2, "line and point of what is better"
    assert svg == language_gains(cells, ["rel"])
    assert language_gains((), ["rel"]) is None
