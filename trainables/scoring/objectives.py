"""The values of a trial's objectives, where a study has several, and the scores that limit drops.

Pure functions, used by sampler, report and retrain alike.
"""

from collections.abc import Sequence
from math import fsum

from spaces.refusal import Refusal
from spaces.study_file.sections import EvaluationSection, Objective
from trainables.scoring.scores import Scores, TargetScores, selecting_languages


def objective_values(
    scores: Scores, evaluation: EvaluationSection, *, hours: float, num_gpus: int
) -> dict[str, float]:
    """Objective -> its value, in the order of the study file; empty where it names none.

    Only zero-shot languages that the selection rule allows are used. Means are over the objective
    targets that have the needed scores.

    Args:
        hours: hours to train the plan's phases, shared ones included, and to score it.
        num_gpus: GPUs that a trial holds.

    Raises:
        Refusal: no objective target has a score to compute an objective from.
    """
    costs = {Objective.HOURS: hours, Objective.GPU_HOURS: hours * num_gpus}
    return {
        name.value: costs[name] if name in costs else _score_objective(name, scores, evaluation)
        for name in evaluation.objectives
    }


def selecting_scores(scores: Scores, evaluation: EvaluationSection) -> dict[str, float]:
    """`task language` -> main score, of the objective targets in the languages that may select."""
    return {
        f"{target.task} {language}": target.by_language[language]
        for target in scores.objective_targets
        for language in _selecting(target, evaluation)
    }


def _score_objective(name: Objective, scores: Scores, evaluation: EvaluationSection) -> float:
    values: list[float] = []
    for target in scores.objective_targets:
        zero_shot = [
            target.by_language[language]
            for language in _selecting(target, evaluation)
            if language != target.source_language
        ]
        match name:
            case Objective.SOURCE_SCORE:
                values += [] if target.source is None else [target.source]
            case Objective.ZERO_SHOT_MEAN if zero_shot:
                values.append(_mean(zero_shot))
            case Objective.WORST_LANGUAGE:
                values += zero_shot
            case Objective.TRANSFER_GAP if zero_shot and target.source is not None:
                values.append(target.source - _mean(zero_shot))
    if not values:
        raise Refusal(
            f"no objective target has rows to compute {name.value!r} from under the selection rule "
            f"{evaluation.selection.value!r}; choose another objective or rule"
        )
    return min(values) if name is Objective.WORST_LANGUAGE else _mean(values)


def _selecting(target: TargetScores, evaluation: EvaluationSection) -> list[str]:
    return selecting_languages(
        target, evaluation.selection, pivot_languages=evaluation.pivot_languages
    )


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
