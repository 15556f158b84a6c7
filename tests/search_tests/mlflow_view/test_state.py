"""The view of a study's trials: what MLflow's own UI reads, and names that the runs have."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.mlflow_view.state import KEY_PREFIX, TrialsView, named, pack, unpack
from search.record.entries import trial_entry
from spaces.json_values import JsonObject
from spaces.study_file.study import StudySettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@cache
def bundle() -> str:
    """The JavaScript of the installed MLflow's UI."""
    folder = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.js"))


def names_in_bundle(first: str) -> set[str]:
    """The names of the longest list of text in the bundle that starts with `first`."""
    found = max(re.findall(rf'\["{first}"(?:,"\w+")*\]', bundle()), key=len)
    return set(re.findall(r'"(\w+)"', found))


@pytest.fixture
def view(settings_of: Callable[..., StudySettings]) -> TrialsView:
    return TrialsView.of(settings_of(study={"name": "tiny"}))


def charts(view: TrialsView) -> list[dict[str, Any]]:
    found: Any = view.state()["compareRunCharts"]
    return list(found)


def test_mlflows_ui_knows_every_key_of_the_state(view: TrialsView) -> None:
    known = names_in_bundle("searchFilter") | names_in_bundle("selectedColumns")
    assert set(view.state()) <= known
    for text in ("viewStateShareKey", KEY_PREFIX, "deflate;"):
        assert f'"{text}"' in bundle()


def test_mlflows_ui_knows_every_key_and_kind_of_the_charts(view: TrialsView) -> None:
    for chart in charts(view):
        assert f'{chart["type"]}="{chart["type"]}"' in bundle()
        for key in chart:
            assert f"this.{key}=" in bundle(), key
    sections: Any = view.state()["compareRunSections"]
    assert {c["metricSectionId"] for c in charts(view)} == {s["uuid"] for s in sections[:2]}
    assert len({chart["uuid"] for chart in charts(view)}) == len(charts(view))
    (closed,) = [section["name"] for section in sections if not section["display"]]
    assert f'"{closed}"' in bundle(), "MLflow's own section, with a chart for each metric"


def test_the_values_are_those_of_mlflows_ui(view: TrialsView) -> None:
    state = view.state()
    for key in ("startTime", "lifecycleFilter", "modelVersionFilter", "runsHiddenMode"):
        assert f'"{state[key]}"' in bundle(), key


def test_every_name_is_one_of_a_trials_run(view: TrialsView, planted: Any) -> None:
    entry = trial_entry(planted.study_rows()[3], baseline=planted.study_rows()[1])
    targets = {target.task for target in planted.study_rows()[3].scores.targets}
    had = {f"params.`{name}`" for name in entry["params"]}
    had |= {f"metrics.`{name}`" for name in entry["metrics"]}
    had |= {f"tags.`transfer_search.{name}`" for name in entry["tags"]}
    shown = [c for c in view.columns() if not c.startswith("metrics.`zero_shot_mean.")]
    assert set(shown) <= had
    means = set(view.columns()) - set(shown)
    assert means == {f"metrics.`zero_shot_mean.{target}`" for target in view.targets}
    assert set(view.targets) & targets, "or the comparison of names compares nothing"
    for chart in charts(view):
        for metric in chart.get("selectedMetrics", []):
            assert f"metrics.`{metric}`" in view.columns()


def test_the_trials_alone_the_best_first(view: TrialsView) -> None:
    state = view.state()
    assert state["searchFilter"] == (
        "tags.`transfer_search.study` = 'tiny' AND tags.`transfer_search.role` = 'trial'"
    )
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`zero_shot_mean`", False)
    assert [c.partition("`")[2].rstrip("`") for c in view.columns()[:8]] == [
        "intermediate",
        "intermediate.learning_rate",
        "target.learning_rate",
        "zero_shot_mean",
        "transfer_gap",
        "transfer_gain",
        "worst_language",
        "transfer_search.worst_language",
    ]


def test_the_columns_are_the_parameters_of_the_space() -> None:
    paper = TrialsView.of(StudySettings.load("mini-paper"))
    assert paper.params[:2] == ("intermediate", "mlm.share")
    assert {"intermediate.learning_rate", "mlm.learning_rate"} < set(paper.params)
    assert set(paper.shared_params) < set(paper.params)
    assert paper.columns()[0] == "params.`intermediate`"
    assert "params.`mlm.share`" in paper.columns()
    assert len(set(paper.columns())) == len(paper.columns())
    lines = charts(paper)[0]
    assert lines["selectedParams"] == list(paper.shared_params), "a baseline has no other one"


@given(st.dictionaries(st.text(), JSON))
def test_what_is_packed_is_unpacked_with_and_without_a_name(state: JsonObject) -> None:
    assert unpack(pack(state)) == state
    assert unpack(named("trials of s", pack(state), time=7)) == state


@pytest.mark.parametrize(
    "value", ["", "deflate;", "deflate;?", "deflate;AAAA", "{", "[]", "3", '"a"']
)
def test_what_is_no_view_is_none(value: str) -> None:
    assert unpack(value) is None


def test_a_view_that_a_user_saved_in_an_older_ui_is_read() -> None:
    assert unpack('{"orderByAsc": true}') == {"orderByAsc": True}
