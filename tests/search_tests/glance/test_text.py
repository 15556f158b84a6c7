"""The glance on a terminal."""

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from search.findings.findings import Rates, WorstLanguage
from search.glance.evidence import LanguageGain
from search.glance.glance import Glance
from search.glance.plans import PlanRow
from search.glance.steps import Step
from search.glance.targets import TargetRow
from search.glance.text import MAX_LINES, show_glance
from search.trials.language_verdicts import Call
from tests.found import found, gain_of, retrain_of

GOLDEN = """\
Study pocket (finished): 5 of 9 trials scored, 1 failed, 1 pruned, 1 running
Intermediate training on fact is best in this search: +9.0 points over the best
baseline (61.0 against 52.0 %) in the zero-shot mean of rel and coh in 2
languages. It is not known whether this is significant, because each side has
one seed; and it is probably too high, because the same rows chose the best of 3
plans and of 2 baselines (winner's curse).

trial  intermediate task  rates        zero-shot  gain   gap  worst language
    3  fact               2e-4 → 2e-4       61.0  +9.0  25.0  rel tr 51.0
    2  fact               2e-4 → 1e-4       60.0  +8.0  25.0  rel tr 50.0
    1  baseline           2e-4              52.0        25.0  rel tr 42.0

target  gain  better*  worse*  gains most         loses most
rel     +6.0      1/2     0/2  de +9.0*, tr +3.0
coh     −5.0      0/1     1/1                     tr −5.0*
*: significant (Holm) on the rows that chose the trial, one seed
! 1 of 9 trials failed and are in no number.
! Few plans: 3 with intermediate training, 2 without.

Next (fresh seeds, test rows): transfer-search retrain pocket
Everything (or --html FILE):   transfer-search report pocket --full
"""


def shown(glance: Glance, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_glance(glance, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().split("\n")[:-1]]


def test_the_planted_study_at_a_glance(planted: Any) -> None:
    cells = planted.verdicts_of(planted.verdict_cells())
    assert "\n".join(shown(Glance.of(found(planted, verdicts=cells)))) + "\n" == GOLDEN


def test_a_wide_terminal_names_more_languages(planted: Any) -> None:
    cells = tuple(planted.verdict_cell("rel", f"l{n}", "better", n / 100) for n in range(1, 9))
    glance = Glance.of(found(planted, verdicts=planted.verdicts_of(list(cells))))
    for width, num in ((80, 2), (120, 3), (200, 4)):
        (row,) = [line for line in shown(glance, width) if line.startswith("rel ")]
        assert row.count("*") == num


def test_what_was_not_tested_has_no_stars(planted: Any) -> None:
    lines = shown(Glance.of(found(planted)))
    assert not any("*" in line for line in lines)
    assert "which differences are significant was not tested" in " ".join(lines)


def test_hostile_names_stay_text_on_one_line(planted: Any) -> None:
    glance = Glance.of(found(planted))
    plan = replace(glance.plans[0], label="[red]a\nb\x1b[0m")
    lines = shown(replace(glance, plans=(plan,), heading="[bold]\x07"))
    assert lines[0] == "[bold]\\x07"
    assert any("[red]a\\nb\\x1b[0m" in line for line in lines)


def test_targets_that_do_not_fit_are_summed_up(planted: Any) -> None:
    glance = Glance.of(found(planted))
    row = replace(glance.targets[0], gain=0.1, better=1, worse=0, num_languages=2)
    others = tuple(replace(row, task=f"t{n}", gain=0.2, worse=1) for n in range(12))
    lines = shown(replace(glance, targets=(row, *others)))
    assert len(lines) == MAX_LINES
    (last,) = [line.split() for line in lines if " more " in line and "warning" not in line]
    num = int(last[0])
    assert last == [str(num), "more", "+20.0", f"{num}/{2 * num}", f"{num}/{2 * num}"]


NAMES = st.text(st.characters(codec="utf-8"), max_size=60)
GAINS = st.builds(
    LanguageGain,
    task=NAMES,
    language=NAMES,
    mean=st.floats(-1, 1),
    call=st.sampled_from([None, *Call]),
)
TARGETS = st.builds(
    TargetRow,
    task=NAMES,
    is_objective=st.booleans(),
    gain=st.floats(-1, 1),
    num_languages=st.integers(1, 99),
    better=st.none() | st.integers(0, 99),
    worse=st.none() | st.integers(0, 99),
    gaining=st.lists(GAINS, max_size=4).map(tuple),
    losing=st.lists(GAINS, max_size=4).map(tuple),
)
SCORES = st.floats(0, 1)
PLANS = st.builds(
    PlanRow,
    trial=st.integers(0, 9999),
    label=NAMES,
    rates=st.builds(
        Rates,
        intermediate=st.none() | st.floats(1e-7, 1),
        target=st.lists(st.floats(1e-7, 1), max_size=4).map(tuple),
    ),
    num_seeds=st.integers(1, 9),
    zero_shot_mean=SCORES,
    gain=st.none() | SCORES,
    gap=st.none() | SCORES,
    worst=st.none() | st.builds(WorstLanguage, task=NAMES, language=NAMES, score=SCORES),
    values=st.dictionaries(st.sampled_from(["hours", "transfer_gap"]), SCORES),
)
SENTENCES = st.text(st.characters(codec="utf-8"), max_size=900)
GLANCES = st.builds(
    Glance,
    heading=NAMES,
    verdict=st.lists(SENTENCES, max_size=2).map(tuple),
    objectives=st.sampled_from([(), ("hours",), ("zero_shot_mean", "hours", "transfer_gap")]),
    plans=st.lists(PLANS, max_size=4).map(tuple),
    pareto=st.just("") | SENTENCES,
    targets=st.lists(TARGETS, max_size=12).map(tuple),
    measured_on=NAMES,
    is_tested=st.booleans(),
    distance=st.just("") | SENTENCES,
    cautions=st.lists(SENTENCES, max_size=12).map(tuple),
    steps=st.lists(st.builds(Step, aim=st.just("Next"), command=NAMES), max_size=2).map(tuple),
)


@settings(deadline=None)
@given(glance=GLANCES, width=st.integers(80, 240))
def test_no_study_takes_more_lines(glance: Glance, width: int) -> None:
    """However many targets, plans and warnings there are, and whatever their names hold."""
    lines = shown(glance, width)
    assert len(lines) <= MAX_LINES
    commands = len(glance.steps)
    assert all(cell_len(line) <= width for line in lines[: len(lines) - commands])
    if glance.cautions:
        assert any(line.startswith("!") for line in lines), "never hidden without a word"


@pytest.mark.parametrize("half", [0.02, 0.2])
def test_a_verdict_is_whole_with_long_names(planted: Any, half: float) -> None:
    """The line that is cut last is that of a verdict."""
    long = "a-source-task:0.50+another-source-task:0.50"
    retrain = replace(retrain_of(gain_of(0.1, half), gain_over_twin=gain_of(0.1, half)), label=long)
    findings = found(planted, retrains=(retrain,))
    for glance in (Glance.of(findings), Glance.of(replace(findings, retrains=()))):
        text = " ".join(shown(glance))
        assert " ".join(glance.verdict) in text


def test_a_narrow_terminal_shows_all_lines(planted: Any) -> None:
    glance = Glance.of(found(planted))
    text = " ".join(" ".join(shown(glance, 40)).split())
    assert all(sentence in text for sentence in (*glance.verdict, *glance.cautions))
