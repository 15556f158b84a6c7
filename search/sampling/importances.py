"""How much each parameter mattered to an objective, as Optuna's fANOVA tells it."""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial


def importance_of(trials: Sequence[FrozenTrial], place: int, *, seed: int) -> dict[str, float]:
    """Parameter -> share of the variation of one objective, largest first; of the parameters that
    all trials have. Empty where there are too few trials, or nothing varies.

    Args:
        trials: scored ones, each plan once.
        place: of the objective among those of the study.
    """
    values = [frozen.values[place] for frozen in trials]
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
