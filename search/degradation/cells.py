"""Scores without and with intermediate training, cell by cell: a target in a zero-shot language.
Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Literal

from search.degradation.findings import GapCell
from search.degradation.paired_scores import PairedScores
from spaces.languages import known_language
from trainables.scoring.scores import Mark, Scores, TargetScores

Levels = Mapping[tuple[str, str], float]  # (task, language) -> score


def gap_cells(sides: PairedScores) -> list[GapCell]:
    """Each target in each zero-shot language, means over the seeds, without distances."""
    after = _by_task(sides.after)
    cells: list[GapCell] = []
    for task, before in _by_task(sides.before).items():
        source = before[0].source_language
        for language in before[0].zero_shot:
            first = fmean(
                target.by_language[language] for target in before if language in target.by_language
            )
            second = _score(after.get(task, []), language)
            cells.append(
                GapCell(
                    task=task,
                    source_language=source,
                    language=language,
                    before=first,
                    after=second,
                    gain=_minus(second, first),
                    gap_before=_minus(_score(before, source), first),
                    gap_after=_minus(_score(after.get(task, []), source), second),
                    fertility=before[0].fertility.get(language),
                    fertility_unit=_unit(language),
                )
            )
    return cells


def objective_targets(sides: PairedScores) -> set[str]:
    """The objective targets of either side."""
    return {t.task for run in (*sides.before, *sides.after) for t in run.objective_targets}


def silent_targets(runs: Sequence[Scores]) -> set[str]:
    """The objective targets that most seeds did not learn (at chance, or collapsed); a seed in the
    minority counts with its true score."""
    marks: dict[str, list[bool]] = {}
    for target in (target for run in runs for target in run.objective_targets):
        marks.setdefault(target.task, []).append(target.mark is not Mark.NONE)
    return {task for task, of in marks.items() if 2 * sum(of) > len(of)}


def zero_shot_levels(runs: Iterable[Scores]) -> list[Levels]:
    """The zero-shot scores of each run."""
    return [
        {(t.task, language): score for t in run.targets for language, score in t.zero_shot.items()}
        for run in runs
    ]


def _unit(language: str) -> Literal["word", "character"]:
    """What fertility counts the tokens of, as trainables.features.fertility does."""
    known = known_language(language)
    return "character" if known and not known.has_spaces else "word"


def _by_task(runs: Iterable[Scores]) -> dict[str, list[TargetScores]]:
    by_task: dict[str, list[TargetScores]] = {}
    for target in (target for run in runs for target in run.targets):
        by_task.setdefault(target.task, []).append(target)
    return by_task


def _score(targets: Sequence[TargetScores], language: str) -> float | None:
    values = [t.by_language[language] for t in targets if language in t.by_language]
    return fmean(values) if values else None


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
