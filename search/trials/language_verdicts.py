"""Better, tie or worse than the baseline, for each language of each target. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from search.stats.significance import CONFIDENCE, Difference, compare, holm
from search.trials.gains import by_seed
from search.trials.ranking import TrialRow, best_baseline, ranked
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores, TargetScores


class Call(StrEnum):
    """What can be said of the winner's side in a language."""

    BETTER = "better"
    TIE = "tie"
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageVerdict:
    """One cell: the call, the difference that it is of, and `adjusted`, the p value for as many
    languages as the target has, which decides. `adjusted_all` is that for all cells of all targets
    that are compared: it keeps the chance of any false call in a whole report; None in records of
    before."""

    task: str
    language: str
    call: Call
    difference: Difference
    adjusted: float
    adjusted_all: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, flat."""
        place = {"task": self.task, "language": self.language, "call": self.call.value}
        adjusted = {"adjusted": self.adjusted, "adjusted_all": self.adjusted_all}
        return {**place, **asdict(self.difference), **adjusted}


@dataclass(frozen=True, slots=True)
class Side:
    """One model: its scores, and what each row got, by target."""

    scores: Scores
    rows: Mapping[str, ByLanguage]


Pair = tuple[Side, Side]  # the winner's and the baseline's of one seed


def by_language(pairs: Sequence[Pair]) -> list[LanguageVerdict]:
    """A verdict for each cell that both sides scored under the same protocol; Holm's adjustment is
    over the languages of a target, and beside it over all cells. The same pairs get the same
    verdicts."""
    tasks = dict.fromkeys(target.task for first, _ in pairs for target in first.scores.targets)
    found = [verdict for task in tasks for verdict in _of_target(task, pairs)]
    over_all = holm([verdict.difference.p for verdict in found])
    return [replace(v, adjusted_all=p) for v, p in zip(found, over_all, strict=True)]


def of_selection(
    trials: Sequence[TrialRow], read: Callable[[TrialRow], Mapping[str, ByLanguage]]
) -> dict[str, Any] | None:
    """The best trial against the best baseline, on the rows that chose it, as JSON values; None
    where there are not both.

    Args:
        read: gets what each row of a trial got, by target; empty where it was not kept.
    """
    order = ranked(trials)
    baseline = best_baseline(order)
    if baseline is None or order[0].plan.is_baseline:
        return None
    sides = [by_seed(order, like) for like in (order[0], baseline)]
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    pairs = [(_side(sides[0][seed], read), _side(sides[1][seed], read)) for seed in seeds]
    return {
        "trial": order[0].number,
        "baseline": baseline.number,
        "languages": [verdict.to_dict() for verdict in by_language(pairs)],
    }


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
        # Seeded by what was scored: whoever judges the same rows draws the same resamples.
        rng = np.random.default_rng([int(protocol.digest, 16), *language.encode()])
        first, second = ([rows[language] for rows in side] for side in sides)
        # The same rows on all sides; files of earlier versions do not say which go together.
        known = (r.groups[language] for side in sides for r in side if language in r.groups)
        found.append(compare(first, second, rng, groups=next(known, None)))
    adjusted = holm([difference.p for difference in found])
    return [
        LanguageVerdict(
            task=task,
            language=language,
            call=_call(difference, p),
            difference=difference,
            adjusted=p,
        )
        for language, difference, p in zip(languages, found, adjusted, strict=True)
    ]


def _call(difference: Difference, adjusted: float) -> Call:
    if adjusted >= 1 - CONFIDENCE:
        return Call.TIE
    return Call.BETTER if difference.mean > 0 else Call.WORSE


def _common(rows: Iterable[ByLanguage]) -> list[str]:
    found = list(rows)
    return [language for language in sorted(found[0]) if all(language in one for one in found)]


def _has(side: Side, task: str) -> bool:
    return task in side.rows and any(target.task == task for target in side.scores.targets)


def _target(side: Side, task: str) -> TargetScores:
    return next(target for target in side.scores.targets if target.task == task)
