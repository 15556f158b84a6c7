"""Computes how important each parameter was for an objective, with Optuna's fANOVA."""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial


def parameter_importances(
    trials: Sequence[FrozenTrial], objective_index: int, *, seed: int
) -> dict[str, float]:
    """Return each parameter's share of the variation of one objective, largest first.

    Only parameters that all trials have are included. The result is empty if there are fewer than
    four trials, or if no value or no parameter varies.

    Args:
        trials: scored trials, each plan once.
        objective_index: index of the objective among the study's objectives.
        seed: seed of the evaluator's random forest.
    """
    values = [frozen.values[objective_index] for frozen in trials]
    if len(trials) < 4 or len(set(values)) < 2:
        return {}
    common = set.intersection(*(set(frozen.params) for frozen in trials))
    varying = {name for name in common if len({frozen.params[name] for frozen in trials}) > 1}
    if not varying:
        return {}
    study = optuna.create_study()
    study.add_trials(
        optuna.trial.create_trial(
            value=value, params=frozen.params, distributions=frozen.distributions
        )
        for frozen, value in zip(trials, values, strict=True)
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    params = sorted(varying)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=params))
