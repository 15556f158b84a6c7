"""Better, tie or worse than the baseline, for each language of each target. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

import numpy as np

from search.stats.significance import CONFIDENCE, Difference, compare, holm
from search.trials.gains import by_seed
from search.trials.ranking import TrialRow, best_baseline, ranked
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores, TargetScores


class Call(StrEnum):
    """The verdict on the first side in a language."""

    BETTER = "better"
    TIE = "tie"
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageVerdict:
    """One target in one language: whether the first side is better than the second one there."""

    task: str
    """The target."""
    language: str
    """The language code."""
    call: Call
    """Better or worse where `adjusted` is below 0.05, else a tie."""
    mean: float
    """The first side's score minus the second one's, in [-1, 1], the mean over the seeds."""
    low: float
    """The lower end of the 95 % interval, not adjusted."""
    high: float
    """The upper end of the 95 % interval, not adjusted."""
    p: float
    """The chance of a difference at least as large where there is none, in [0, 1]."""
    num_seeds: int
    """How many seeds of each side were compared."""
    num_rows: int
    """How many rows each side scored."""
    num_groups: int | None = None
    """How many groups of rows that go together there are; null where each row counts alone."""
    adjusted: float
    """`p` adjusted for the number of languages of the target (Holm); it decides the call."""
    adjusted_all: float | None = None
    """`p` adjusted for all cells of all targets together (Holm): it limits the chance of any false
    call in a whole report. Null in records of older versions."""

    @property
    def difference(self) -> Difference:
        """The difference alone, without its verdict."""
        return Difference(**{each.name: getattr(self, each.name) for each in fields(Difference)})


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionVerdicts:
    """The best trial against the best baseline by language, on the rows that chose it."""

    trial: int
    """The number of the best trial when the study ended."""
    baseline: int
    """The number of the best baseline when the study ended."""
    languages: tuple[LanguageVerdict, ...]
    """One verdict for each target and language."""


@dataclass(frozen=True, slots=True)
class Side:
    """One model: its scores, and the outcome of each row by target."""

    scores: Scores
    rows: Mapping[str, ByLanguage]


Pair = tuple[Side, Side]  # winner and baseline with the same seed


def by_language(pairs: Sequence[Pair]) -> list[LanguageVerdict]:
    """A verdict for each cell that both sides scored under the same protocol. Holm's adjustment is
    over the languages of a target (`adjusted`), and over all cells (`adjusted_all`). The same pairs
    get the same verdicts."""
    tasks = dict.fromkeys(target.task for first, _ in pairs for target in first.scores.targets)
    found = [verdict for task in tasks for verdict in _of_target(task, pairs)]
    over_all = holm([verdict.p for verdict in found])
    return [replace(v, adjusted_all=p) for v, p in zip(found, over_all, strict=True)]


def of_selection(
    trials: Sequence[TrialRow], read: Callable[[TrialRow], Mapping[str, ByLanguage]]
) -> SelectionVerdicts | None:
    """The best trial against the best baseline, on the rows that chose it; None where the study
    lacks one of them.

    Args:
        read: returns the outcome of each row of a trial, by target; empty where it was not kept.
    """
    order = ranked(trials)
    baseline = best_baseline(order)
    if baseline is None or order[0].plan.is_baseline:
        return None
    sides = [by_seed(order, like) for like in (order[0], baseline)]
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    pairs = [(_side(sides[0][seed], read), _side(sides[1][seed], read)) for seed in seeds]
    return SelectionVerdicts(
        trial=order[0].number, baseline=baseline.number, languages=tuple(by_language(pairs))
    )


def _side(row: TrialRow, read: Callable[[TrialRow], Mapping[str, ByLanguage]]) -> Side:
    assert row.scores is not None
    return Side(row.scores, read(row))


def _of_target(task: str, pairs: Sequence[Pair]) -> list[LanguageVerdict]:
    judged = [pair for pair in pairs if all(_has(side, task) for side in pair)]
    if not judged:
        return []
    protocol = _target(judged[0][0], task).protocol
    sides = [[side.rows[task] for side in column] for column in zip(*judged, strict=True)]
    if any(protocol.differences(_target(s, task).protocol) for pair in judged for s in pair):
        return []
    languages = _common(rows for side in sides for rows in side)
    found = []
    for language in languages:
        # The seed comes from the scored rows: judging them again draws the same resamples.
        rng = np.random.default_rng([int(protocol.digest, 16), *language.encode()])
        first, second = ([rows[language] for rows in side] for side in sides)
        # All sides have the same rows; files of earlier versions lack the groups of rows.
        known = (r.groups[language] for side in sides for r in side if language in r.groups)
        found.append(compare(first, second, rng, groups=next(known, None)))
    adjusted = holm([difference.p for difference in found])
    return [
        LanguageVerdict(
            task=task,
            language=language,
            call=_call(difference, p),
            **asdict(difference),
            adjusted=p,
        )
        for language, difference, p in zip(languages, found, adjusted, strict=True)
    ]


def _call(difference: Difference, adjusted: float) -> Call:
    if adjusted >= 1 - CONFIDENCE:
        return Call.TIE
    return Call.BETTER if difference.mean > 0 else Call.WORSE


def _common(rows: Iterable[ByLanguage]) -> list[str]:
    first, *others = rows
    return [code for code in sorted(first) if all(code in other for other in others)]


def _has(side: Side, task: str) -> bool:
    return task in side.rows and any(target.task == task for target in side.scores.targets)


def _target(side: Side, task: str) -> TargetScores:
    return next(target for target in side.scores.targets if target.task == task)
