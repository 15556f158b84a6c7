"""The values of a trial's objectives, where a study has several, and what a drop is measured by.

Pure. Sampler, report and retrain ask the same functions.
"""

from collections.abc import Sequence
from math import fsum

from spaces.refusal import Refusal
from spaces.sections import EvaluationSection, Objective
from trainables.scoring.scores import Scores, TargetScores, selecting_languages


def objective_values(
    scores: Scores, evaluation: EvaluationSection, *, hours: float, num_gpus: int
) -> dict[str, float]:
    """Objective -> its value, in the order of the study file; empty where that names none.

    Of the zero-shot languages those alone enter that the selection rule allows. Means are over the
    objective targets that have what is asked for.

    Args:
        hours: what it takes to train the plan's phases, shared ones included, and to score it.
        num_gpus: what a trial holds.

    Raises:
        Refusal: no objective target has a score to tell one of them by.
    """
    of_cost = {Objective.HOURS: hours, Objective.GPU_HOURS: hours * num_gpus}
    return {
        name.value: of_cost[name] if name in of_cost else _of_scores(name, scores, evaluation)
        for name in evaluation.objectives
    }


def selecting_scores(scores: Scores, evaluation: EvaluationSection) -> dict[str, float]:
    """`task language` -> score, of the objective targets in the languages that may select."""
    return {
        f"{target.task} {language}": target.by_language[language]
        for target in scores.objective_targets
        for language in _selecting(target, evaluation)
    }


def _of_scores(name: Objective, scores: Scores, evaluation: EvaluationSection) -> float:
    found: list[float] = []
    for target in scores.objective_targets:
        zero_shot = [
            target.by_language[language]
            for language in _selecting(target, evaluation)
            if language != target.source_language
        ]
        match name:
            case Objective.SOURCE_SCORE:
                found += [] if target.source is None else [target.source]
            case Objective.ZERO_SHOT_MEAN if zero_shot:
                found.append(_mean(zero_shot))
            case Objective.WORST_LANGUAGE:
                found += zero_shot
            case Objective.TRANSFER_GAP if zero_shot and target.source is not None:
                found.append(target.source - _mean(zero_shot))
    if not found:
        raise Refusal(
            f"no objective target has rows to tell {name.value!r} by, under the selection rule "
            f"{evaluation.selection.value}"
        )
    return min(found) if name is Objective.WORST_LANGUAGE else _mean(found)


def _selecting(target: TargetScores, evaluation: EvaluationSection) -> list[str]:
    return selecting_languages(
        target, evaluation.selection, pivot_languages=evaluation.pivot_languages
    )


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
