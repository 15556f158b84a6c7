"""Which trial is best, and what it gains over which baseline."""

from dataclasses import replace
from typing import Any

import pytest

from search.trials.ranking import (
    Baselines,
    TrialState,
    best,
    best_baseline,
    better_of,
    collapsed_targets,
    is_collapsed,
    paired_gain,
    ranked,
    seen_languages,
    transfer_gain,
)
from spaces.phases import Target, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import SelectionRule
from spaces.tasks.catalogue import SHIPPED
from tests.by_name import mixture_of
from trainables.scoring.scores import Mark, Scores


def test_scored_trials_by_objective_then_number_collapsed_last(planted: Any) -> None:
    rows = planted.study_rows()
    assert [row.number for row in ranked(rows)] == [3, 2, 1, 0, 4]
    level = [planted.scored(n, 0.5, None) for n in (4, 2, 3)]
    assert [row.number for row in ranked(level)] == [2, 3, 4]
    lucky = planted.scored(9, 0.99, "coh", mark=Mark.COLLAPSED)
    assert ranked([*rows, lucky])[-2:] == [lucky, rows[4]]
    quiet = planted.scored(9, 0.99, "coh", mark=Mark.NO_SIGNAL)
    assert best([*rows, quiet]) == quiet


def test_a_lucky_seed_is_not_the_best(planted: Any) -> None:
    """Ranked by the mean over seeds: 0.70 of two level runs before 0.65 with one of 0.80."""

    def of_seed(number: int, value: float, source: str | None, seed: int) -> Any:
        row = planted.scored(number, value, source)
        return replace(row, plan=row.plan.with_seed(seed))

    lucky = [of_seed(0, 0.80, "fact", 1), of_seed(1, 0.50, "fact", 2)]
    level = [of_seed(2, 0.69, "coh", 1), of_seed(3, 0.71, "coh", 2)]
    baselines = [of_seed(4, 0.40, None, 1), of_seed(5, 0.44, None, 2)]
    rows = [*lucky, *level, *baselines]
    assert [row.number for row in ranked(rows)] == [3, 2, 0, 1, 5, 4]
    assert [Baselines.among(rows).of(row).number for row in rows] == [4, 5, 4, 5, 4, 5]
    other = of_seed(6, 0.9, "seq", 3)
    assert Baselines.among([*rows, other]).of(other).number == 5, (
        "the best one, if none has its seed"
    )
    fallen = replace(lucky[1], scores=planted.scored(1, 0.5, "fact", mark=Mark.COLLAPSED).scores)
    assert ranked([lucky[0], fallen, *level])[0].number == 3, "a seed that collapsed counts"


def test_plans_that_mostly_fail_do_not_win(planted: Any) -> None:
    """Two of three seeds collapse, the third is a little better than the other plan's."""
    levels = {"fact": (0.70, 0.70, 0.70), "coh": (0.10, 0.10, 0.71)}
    rows = [
        replace(row, plan=row.plan.with_seed(seed), number=10 * place + seed)
        for place, (source, of_seeds) in enumerate(levels.items())
        for seed, level in enumerate(of_seeds)
        for row in [
            planted.scored(0, level, source, mark=Mark.COLLAPSED if level < 0.5 else Mark.NONE)
        ]
    ]
    assert [row.number for row in ranked(rows)] == [0, 1, 2, 12, 10, 11]


def test_one_seed_is_not_better_than_three_for_being_one(planted: Any) -> None:
    levels = {"fact": (0.70, 0.69, 0.71), "coh": (0.705,)}
    rows = [
        replace(row, plan=row.plan.with_seed(seed), number=10 * place + seed)
        for place, (source, of_seeds) in enumerate(levels.items())
        for seed, level in enumerate(of_seeds)
        for row in [planted.scored(0, level, source)]
    ]
    assert best(rows).number == 2


def test_one_target_that_collapsed_everywhere_takes_nothing_from_the_order(planted: Any) -> None:
    """As a real encoder did: no plan learned one of the targets; the others decide."""
    marks = {"rel": Mark.COLLAPSED}
    rows = [planted.scored(n, 0.4 + n / 100, s, marks=marks) for n, s in enumerate((None, "fact"))]
    assert [row.number for row in ranked(rows)] == [1, 0]
    assert not any(is_collapsed(row) for row in rows)
    assert collapsed_targets(rows[0]) == ("rel",)
    assert paired_gain(rows[1], Baselines.among(rows)) == pytest.approx(0.01)


def test_the_order_of_the_rows_does_not_matter(planted: Any) -> None:
    rows = planted.study_rows()
    assert ranked(rows[::-1]) == ranked(rows)


def test_only_scored_trials_are_chosen(planted: Any) -> None:
    rows = [row for row in planted.study_rows() if row.state is not TrialState.SCORED]
    assert ranked(rows) == []
    assert best_baseline(rows) is None
    with pytest.raises(Refusal, match="no scored trial yet"):
        best(rows)


def test_gains_are_against_the_best_baseline(planted: Any) -> None:
    rows = planted.study_rows()
    baseline = best_baseline(rows)
    assert baseline == rows[1]
    gains = [transfer_gain(row, baseline) for row in rows[:5]]
    assert gains == pytest.approx([-0.02, 0.0, 0.08, 0.09, -0.22])
    assert [transfer_gain(row, baseline) for row in rows[5:]] == [None] * 4
    assert transfer_gain(rows[2], None) is None


def test_a_trial_without_all_targets_has_no_gain(planted: Any) -> None:
    pruned = replace(planted.scored(2, 0.6, "fact"), state=TrialState.PRUNED)
    assert transfer_gain(pruned, planted.scored(0, 0.5, None)) is None


def test_paired_gains_are_against_the_same_target_phases(planted: Any) -> None:
    rows = planted.study_rows()
    assert paired_gain(rows[2], Baselines.among(rows)) == pytest.approx(0.60 - 0.50)
    assert paired_gain(rows[3], Baselines.among(rows)) == pytest.approx(0.61 - 0.52)
    assert paired_gain(rows[2], Baselines.among(rows[1:])) is None  # its own baseline is not there
    assert paired_gain(rows[0], Baselines.among(rows)) is None  # a baseline is no pair with itself


def test_another_seed_is_another_pair(planted: Any) -> None:
    row = planted.scored(2, 0.6, "fact")
    base = planted.scored(0, 0.5, None)
    assert paired_gain(row, Baselines.among([replace(base, plan=base.plan.with_seed(1))])) is None


def test_a_baseline_that_collapsed_counts(planted: Any) -> None:
    """Not to collapse is what the intermediate phase may bring; its mark stands beside it."""
    rows = [
        planted.scored(0, 0.2, None, mark=Mark.COLLAPSED),
        planted.scored(1, 0.6, "fact"),
    ]
    assert paired_gain(rows[1], Baselines.among(rows)) == pytest.approx(0.4)


def test_what_had_a_say_where_there_is_one_split(planted: Any) -> None:
    """XQuAD has one split in every language, udpos in Thai; panx nowhere; Tatoeba is scored, but
    no objective target; an early end is chosen by rows in the source language."""
    targets = (
        planted.target_scores("xquad", {"en": 0.8, "de": 0.6, "tr": 0.5}),
        planted.target_scores("udpos", {"en": 0.8, "de": 0.6, "th": 0.5}),
        planted.target_scores("panx", {"en": 0.8, "de": 0.6}),
        planted.target_scores("tydiqa", {"en": 0.8, "fi": 0.6}),
        planted.target_scores("tatoeba", {"de": 0.6}),
    )
    recipe = replace(planted.phase("fact", 1e-4).recipe, evaluate_every=10)
    early = replace(planted.phase("tydiqa", 1e-4), recipe=recipe)
    phases = {name: planted.phase(name, 1e-4) for name in ("udpos", "panx")}
    phases |= {"tydiqa": early, "xquad": planted.phase("squad", 1e-4)}
    plan = TrialPlan(
        encoder="tiny",
        intermediate=None,
        targets=tuple(Target(task=SHIPPED.get(t.task), phase=phases.get(t.task)) for t in targets),
    )
    scores = Scores(targets=targets, of_interest=("xquad", "udpos", "panx"))
    row = replace(planted.scored(0, 0.5, None), plan=plan, scores=scores)
    by_early_end: dict[str, list[str]] = {"tydiqa": ["en"]}
    assert seen_languages(row, SelectionRule.TARGET_DEV) == {
        "xquad": ["de", "tr"],
        "udpos": ["th"],
        **by_early_end,
    }
    assert seen_languages(row, SelectionRule.SOURCE_DEV) == {"xquad": ["en"], **by_early_end}
    pivots = seen_languages(row, SelectionRule.PIVOT_DEV, pivot_languages=("tr",))
    assert pivots == {"xquad": ["tr"], **by_early_end}
    assert seen_languages(planted.scored(0, 0.5, None), SelectionRule.TARGET_DEV) == {}


@pytest.mark.parametrize(
    ("source", "steps", "seen"),
    [
        ("squad", 10, {"xquad": ["en"]}),
        ("squad2", 10, {"xquad": ["en"]}),
        ("squad", None, {}),
        ("mnli", 10, {}),
        ("mnli@de", 10, {}),
    ],
)
def test_an_early_end_sees_rows_that_were_drawn_from_those_it_is_chosen_by(
    planted: Any, source: str, steps: int | None, seen: dict[str, list[str]]
) -> None:
    """XQuAD's rows are SQuAD's validation rows, in English; MLQA has its own, and XNLI has test
    rows apart from MNLI's and from its own validation rows."""
    recipe = replace(planted.phase("fact", 1e-4).recipe, evaluate_every=steps)
    phase = replace(planted.phase("fact", 1e-4), recipe=recipe, mixture=mixture_of({source: 1}))
    trained = {"xquad": "squad", "mlqa": "squad", "xnli": "mnli"}
    bare = {task: planted.phase(name, 1e-4) for task, name in trained.items()}
    own = {t: phase if name == source else bare[t] for t, name in trained.items()}
    for intermediate, phases in ((phase, bare), (None, own)):
        if intermediate is None and source not in trained.values():
            continue  # a target cannot be trained on it
        targets = tuple(
            Target(task=SHIPPED.get(task), phase=of_task) for task, of_task in phases.items()
        )
        plan = TrialPlan(encoder="tiny", intermediate=intermediate, targets=targets)
        row = replace(planted.scored(0, 0.5, None), plan=plan, scores=None)
        assert seen_languages(row, SelectionRule.SOURCE_DEV) == seen


def test_the_better_of_two_is_one_that_may_win(planted: Any) -> None:
    low, high = planted.scored(0, 0.5, None), planted.scored(1, 0.6, "fact")
    assert better_of(None, low) is low
    assert better_of(low, high) is high
    assert better_of(high, low) is high
    assert better_of(low, replace(high, objective=0.5)) is low, "the earlier one if equal"
    assert better_of(low, replace(high, is_feasible=False)) is low
    assert better_of(low, planted.unscored(2, TrialState.FAILED)) is low
