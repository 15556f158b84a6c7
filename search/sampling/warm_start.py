"""Earlier studies that a sampler learns from: may it, and which of their trials."""

from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from search.sampling.storage import is_there, open_storage, reaching
from spaces.refusal import Refusal, unknown
from spaces.space import SearchSpace
from spaces.study import StudySettings

DUPLICATE_OF = "duplicate_of"  # mark on a trial: it was told the score of another
SCORED_BY = "scored_by"  # mark on a study: what its scores are of


def check_earlier(url: str, settings: StudySettings) -> None:
    """Refuse a `warm_start` that cannot be, before anything is made."""
    if not settings.study.warm_start:
        return
    if not is_there(url):
        raise _not_there(settings.study.warm_start[0], [])
    storage = open_storage(url)
    with reaching(url):
        earlier_trials(storage, settings)


def earlier_trials(storage: BaseStorage, settings: StudySettings) -> dict[str, list[FrozenTrial]]:
    """The scored trials of every study that this one starts from. Raises Refusal where one is not
    there, or where what it varied or scored is not what this study does."""
    earlier = settings.study.warm_start
    names = set(optuna.get_all_study_names(storage)) if earlier else set()
    for name in earlier:
        if name not in names:
            raise _not_there(name, sorted(names - {settings.study.name}))
    return {name: _scored_trials(storage, name, settings) for name in earlier}


def scored_by(settings: StudySettings) -> dict[str, Any]:
    """What makes the scores of two studies comparable for a sampler: the targets, and how they are
    scored and may select."""
    decides_nothing = {"max_batch_tokens", "probe_rows"}  # of a trial that was scored to its end
    evaluation = settings.evaluation.model_dump(mode="json", exclude=decides_nothing)
    for name in ("objectives", "max_drop"):  # what marks of earlier versions know nothing of
        if evaluation[name] in (None, []):
            del evaluation[name]
    return {"space.targets": list(settings.space.targets)} | {
        f"evaluation.{name}": value for name, value in evaluation.items()
    }


def _scored_trials(storage: BaseStorage, name: str, settings: StudySettings) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=name, storage=storage)
    _check_scores(name, study.user_attrs.get(SCORED_BY), scored_by(settings))
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    scored = [one for one in trials if DUPLICATE_OF not in one.user_attrs]
    if not scored:
        raise Refusal(f"warm_start: study {name!r} has no scored trial to learn from")
    space = settings.search_space()
    for one in scored:
        _check_space(name, one, space)
    return scored


def _check_scores(name: str, there: dict[str, Any] | None, here: dict[str, Any]) -> None:
    if there is None:
        raise Refusal(
            f"warm_start: study {name!r} does not say what it scored: it is of an earlier version; "
            "run it once more with this one"
        )
    for key in {**here, **there}:
        if there.get(key) != here.get(key):
            raise Refusal(
                f"warm_start: {key} of study {name!r} is {there.get(key)}, and here "
                f"{here.get(key)}: their scores do not compare"
            )


def _check_space(name: str, earlier: FrozenTrial, space: SearchSpace) -> None:
    """Asked for the same values, this space names the same parameters, in the same ranges."""
    same = FixedTrial(earlier.params)
    try:
        space.suggest(same)
    except ValueError as error:
        raise Refusal(f"warm_start: the space of study {name!r} differs: {error}") from error
    for key in sorted(earlier.distributions.keys() | same.distributions.keys()):
        there, here = earlier.distributions.get(key), same.distributions.get(key)
        if there != here:
            raise Refusal(
                f"warm_start: the space of study {name!r} differs: {key} is {there} there, and "
                f"here {here}"
            )


def _not_there(name: str, names: list[str]) -> Refusal:
    if not names:
        return Refusal(f"warm_start: there is no study {name!r} in the study database, nor another")
    return unknown("study in warm_start", name, names)
