"""A verdict in words; the card as a whole is in test_verdict."""

from dataclasses import replace
from typing import Any

import pytest

from search.record.reader import WINNER
from search.winner.verdict import RetrainedSeed, Verdict
from search.winner.verdict_text import failures, gain_sentences, seeds, this_model, unregistered
from spaces.study_file.sections import SelectionRule
from trainables.scoring.scores import Mark, Scores


def verdict(planted: Any, **levels: list[float | None]) -> Verdict:
    """By role the level of each seed; None diverged, what is negative collapsed on rel."""

    def scores(level: float | None) -> Scores | None:
        if level is None:
            return None
        found: Scores = planted.scores(abs(level))
        if level < 0:
            fallen = replace(found.targets[0], mark=Mark.COLLAPSED)
            found = replace(found, targets=(fallen, *found.targets[1:]))
        return found

    runs = [
        RetrainedSeed(
            role=role,
            seed=seed,
            plan=planted.plan("fact"),
            scores=scores(level),
            validation=scores(level) if role == WINNER else None,
            phase_keys=(),
        )
        for role, column in levels.items()
        for seed, level in enumerate(column)
    ]
    return Verdict(study="tiny", trial=2, runs=tuple(runs), models=())


def test_seeds_are_counted() -> None:
    assert [seeds(num) for num in (0, 1, 2)] == ["0 fresh seeds", "1 fresh seed", "2 fresh seeds"]


def test_what_failed_is_said_role_by_role(planted: Any) -> None:
    found = verdict(planted, winner=[0.6, -0.3, None], baseline=[0.5, 0.5, 0.5], twin=[-0.2, 0.4])
    assert list(failures(found)) == [
        "Failures of the winner: 1 of 3 seeds collapsed on rel; 1 of 3 seeds diverged and are in "
        "no mean.",
        "Failures of the twin: 1 of 2 seeds collapsed on rel.",
    ]
    assert list(failures(found, "coh")) == [
        "Failures of the winner: 1 of 3 seeds diverged and are in no mean."
    ]
    assert list(failures(verdict(planted, winner=[0.6], baseline=[0.5]))) == []


def test_why_this_model(planted: Any) -> None:
    found = verdict(planted, winner=[0.6, 0.7, -0.9])
    run = found.chosen("rel")
    assert run is not None
    assert this_model(found, run, "rel") == (
        "This model was trained with seed 1: the best on validation rows (70.0, selection "
        "target_dev), among the seeds that learned the target. Test rows do not choose the seed. "
        "Its zero-shot mean on test rows is 70.0; the mean over 3 fresh seeds is 73.3 ± 15.3."
    )
    strict = replace(found, rule=SelectionRule.PIVOT_DEV, pivot_languages=("sw",))
    run = strict.chosen("rel")
    assert run is not None
    assert run.seed == 0
    assert "the first, because selection pivot_dev lets no validation row of it choose" in (
        this_model(strict, run, "rel")
    )


def test_both_gains_by_their_names(planted: Any) -> None:
    found = verdict(planted, winner=[0.6, -0.3], baseline=[0.5, 0.5], twin=[0.4, 0.4])
    told = list(gain_sentences(found, "rel"))
    assert [line.partition(":")[0] for line in told] == [
        "Gain over the baseline, zero-shot mean of rel, 2 seeds",
        "Without the seeds that collapsed, it is +10.0 points over 1 seed.",
        "Gain over the twin (the same target phases without the intermediate phase), zero-shot "
        "mean of rel, 2 seeds",
        "Without the seeds that collapsed, it is +20.0 points over 1 seed.",
    ]
    assert told[0].partition(": ")[2].startswith("−5.0 (95 % interval ")
    assert "1 of 2 seeds collapsed, 0 of 2 beside it" in told[0]
    (alone,) = gain_sentences(verdict(planted, winner=[0.6], baseline=[0.5]))
    assert (
        alone == "Gain over the baseline, zero-shot mean of all objective targets, 1 seed: +10.0."
    )
    assert list(gain_sentences(verdict(planted, winner=[0.6]))) == []


def test_where_no_seed_is_of_both_sides(planted: Any) -> None:
    found = verdict(planted, winner=[0.6, None], baseline=[None, 0.5])
    (line,) = gain_sentences(found, "rel")
    assert "zero-shot mean of rel, 1 and 1 seeds: +10.0" in line


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        ([-0.3, -0.2], "of 2 fresh seeds of trial 2, 2 collapsed on it and 0 diverged."),
        ([None], "of 1 fresh seed of trial 2, 0 collapsed on it and 1 diverged."),
    ],
)
def test_a_target_without_a_model(levels: list[Any], sentence: str, planted: Any) -> None:
    told = list(unregistered(verdict(planted, winner=levels)))
    assert told[0] == f"No model of rel is registered, because no seed learned it: {sentence}"
    assert len(told) == (3 if None in levels else 1)
    assert list(unregistered(verdict(planted, winner=[0.6, *levels]))) == []
