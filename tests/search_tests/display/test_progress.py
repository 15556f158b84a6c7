"""What is shown while a search runs."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.display.progress import LINES, SearchProgress, counting
from search.planning.plan import _tree
from search.trials.ranking import TrialState
from spaces.study_file.study import StudySettings


@pytest.fixture
def text() -> io.StringIO:
    return io.StringIO()


def plain(text: io.StringIO, num_trials: int = 4) -> SearchProgress:
    return SearchProgress(Console(file=text), num_trials=num_trials)


def test_one_plain_line_a_trial_without_a_terminal(text: io.StringIO, planted: Any) -> None:
    with plain(text) as watch:
        watch.resumed(0)
        for row in (planted.scored(0, 0.5, None), planted.scored(1, 0.625, "fact")):
            watch.started(row.number, row.plan)
            watch.moved(row.number, {"event": "start", "seconds": 1.0})
            watch.moved(
                row.number, {"event": "progress", "phase": "fact", "step": 3, "num_steps": 9}
            )
            watch.moved(row.number, {"event": "phase", "reused": True})
            watch.finished(row)
    first, second = text.getvalue().splitlines()
    assert first.startswith("[1/4] trial 0 baseline 1e-04: 50.0   best 50.0, about ")
    assert second.startswith("[2/4] trial 1 fact 2e-04 -> 1e-04: 62.5   best 62.5, about ")
    assert second.endswith(" left")
    assert "\x1b" not in text.getvalue()


def test_long_lines_are_not_broken(text: io.StringIO, planted: Any) -> None:
    row = planted.unscored(0, TrialState.FAILED, reason="a long reason " * 20)
    with plain(text) as watch:
        watch.started(0, row.plan)
        watch.finished(row)
    assert text.getvalue().count("\n") == 1


def test_a_trial_that_is_started_again(text: io.StringIO, planted: Any) -> None:
    row = planted.scored(7, 0.5, None)
    with plain(text) as watch:
        watch.started(7, row.plan)
        watch.moved(7, {"event": "again", "reason": "its worker died, [sic] " * 9})
        watch.finished(row)
    first, second = text.getvalue().splitlines()
    assert first.startswith("trial 7 is started again: its worker died, [sic] its")
    assert second.startswith("[1/4] trial 7 ")


def test_the_eta_is_the_mean_time_times_what_is_left(
    text: io.StringIO, planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("search.display.progress.time.monotonic", lambda: now[0])
    watch = plain(text)
    for number, seconds in enumerate((10.0, 20.0)):
        now[0] = 100.0 + seconds
        watch.finished(planted.scored(number, 0.5, None))
    lines = text.getvalue().splitlines()
    assert lines[0].endswith("about 30 s left")
    assert lines[1].endswith("about 20 s left")


def test_what_is_left_of_a_resumed_study(text: io.StringIO, planted: Any) -> None:
    with plain(text, 5) as watch:
        watch.resumed(3)
        for number in (3, 4):
            watch.finished(planted.scored(number, 0.5, None))
    assert [line.split()[0] for line in text.getvalue().splitlines()] == ["[1/2]", "[2/2]"]
    assert "about 0 s left" in text.getvalue()


def test_a_resumed_study_with_nothing_left(text: io.StringIO) -> None:
    with plain(text, 3) as watch:
        watch.resumed(3)
    assert text.getvalue() == ""


def test_how_trials_end(text: io.StringIO, planted: Any) -> None:
    with plain(text) as watch:
        watch.finished(planted.unscored(0, TrialState.FAILED, reason="diverged"))
        watch.finished(planted.unscored(1, TrialState.PRUNED, objective=0.25))
        barred = planted.scored(2, 0.5, "fact")
        watch.finished(replace(barred, largest_drop=0.031, is_feasible=False))
    first, second, third = text.getvalue().splitlines()
    assert ": failed (diverged)" in first
    assert ": 25.0 pruned" in second
    assert ": 50.0, may not win: a language drops by 3.1" in third
    assert "best" not in text.getvalue(), "only a scored trial that may win can be the best"


HOSTILE = "[bold]x[/red] [link=file:///etc]y[/] {z}"


def test_markup_in_texts_is_shown_as_it_is(planted: Any) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=200, color_system=None)
    with SearchProgress(console, num_trials=2) as watch:
        row = planted.unscored(0, TrialState.FAILED, reason=HOSTILE)
        watch.started(0, row.plan)
        watch.moved(0, {"event": "progress", "phase": HOSTILE, "step": 1, "num_steps": 2})
        watch._bars.refresh()
        watch.finished(row)
    assert f"failed ({HOSTILE})" in text.getvalue()
    assert f"{HOSTILE} step 1/2" in text.getvalue()


def test_a_terminal_gets_bars(planted: Any) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with SearchProgress(console, num_trials=3) as watch:
        row = planted.scored(0, 0.5, "fact")
        watch.started(0, row.plan)
        watch.moved(0, {"event": "phase", "reused": False})
        watch.finished(row)
        watch.moved(0, {"event": "phase", "reused": False})  # late: the trial has ended
    assert "trials" in text.getvalue()


def test_ranks_of_adapters_stand_behind_the_rates(settings_of: Any) -> None:
    """Or two trials, and two stages of the tree, would have one name."""
    lora = {"ranks": [8], "learning_rate_factor": 10}
    settings: StudySettings = settings_of(
        study={"sampler": "grid"},
        space={
            "intermediate": ["none", "fact"],
            "intermediate_learning_rate": [2e-4],
            "target_learning_rate": [1e-4],
            "lora": lora,
        },
    )
    space = settings.search_space()
    plans = [space.decode(point) for point in space.grid_points()]
    assert len({str(plan) for plan in plans}) == len(plans) == 6
    assert str(plans[-1]) == "fact 2e-03 lora 8 -> 1e-03 lora 8"
    assert set(_tree(plans)) == {"none", "fact at 0.0002", "fact at 0.002 lora 8"}


def test_counting_says_lines_without_a_terminal() -> None:
    text = io.StringIO()
    with counting(Console(file=text), "pretraining") as on_done:
        for step in range(1, 101):
            on_done(step, 100)
    lines = text.getvalue().splitlines()
    assert len(lines) == LINES
    assert lines[0].startswith("pretraining: 10/100, about ")
    assert lines[-1] == "pretraining: 100/100, about 0 s left"


def test_counting_nothing_shows_nothing() -> None:
    text = io.StringIO()
    with counting(Console(file=text, force_terminal=True), "pretraining"):
        pass
    assert "pretraining" not in text.getvalue()
