"""Finds the earlier studies that a sampler learns from, and checks that they are comparable."""

from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from search.sampling.storage import may_exist, open_storage, reaching
from spaces.refusal import Refusal, unknown
from spaces.space import SearchSpace
from spaces.study_file.study import StudySettings

# User attributes in Optuna's database. The names are stored and must not change.
DUPLICATE_OF = "duplicate_of"  # of a trial: number of the trial whose result it was given
SCORED_BY = "scored_by"  # of a study: its targets and evaluation settings


def check_earlier(url: str, settings: StudySettings) -> None:
    """Refuse a `warm_start` that is not possible, before anything is created. Raises Refusal."""
    if not settings.study.warm_start:
        return
    if not may_exist(url):
        raise _missing_study(settings.study.warm_start[0], [])
    storage = open_storage(url)
    with reaching(url):
        earlier_trials(storage, settings)


def earlier_trials(storage: BaseStorage, settings: StudySettings) -> dict[str, list[FrozenTrial]]:
    """Return the scored trials of every study that this one starts from, by study name.

    Raises Refusal if a study does not exist, has no scored trial, or has another space or other
    evaluation settings than this study.
    """
    earlier = settings.study.warm_start
    names = set(optuna.get_all_study_names(storage)) if earlier else set()
    for name in earlier:
        if name not in names:
            raise _missing_study(name, sorted(names - {settings.study.name}))
    return {name: _scored_trials(storage, name, settings) for name in earlier}


def scored_by(settings: StudySettings) -> dict[str, Any]:
    """Return the settings that two studies must share for their scores to be comparable: the
    targets, how they are scored, and which languages may select."""
    without_effect = {"max_batch_tokens", "probe_rows"}  # on the score of a completed trial
    evaluation = settings.evaluation.model_dump(mode="json", exclude=without_effect)
    for name in ("objectives", "max_drop"):  # missing in studies of earlier versions
        if evaluation[name] in (None, []):
            del evaluation[name]
    return {"space.targets": list(settings.space.targets)} | {
        f"evaluation.{name}": value for name, value in evaluation.items()
    }


def _scored_trials(storage: BaseStorage, name: str, settings: StudySettings) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=name, storage=storage)
    _check_scores(name, study.user_attrs.get(SCORED_BY), scored_by(settings))
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    scored = [trial for trial in trials if DUPLICATE_OF not in trial.user_attrs]
    if not scored:
        raise Refusal(f"warm_start: study {name!r} has no scored trial to learn from")
    space = settings.search_space()
    for trial in scored:
        _check_space(name, trial, space)
    return scored


def _check_scores(name: str, theirs: dict[str, Any] | None, ours: dict[str, Any]) -> None:
    """Refuse an earlier study with other targets or evaluation settings."""
    if theirs is None:
        raise Refusal(
            f"warm_start: study {name!r} was run by an earlier version, which did not store its "
            "evaluation settings; run it once more with this version"
        )
    for key in {**ours, **theirs}:
        if theirs.get(key) != ours.get(key):
            raise Refusal(
                f"warm_start: {key} is {theirs.get(key)} in study {name!r} but {ours.get(key)} in "
                "this study, so their scores are not comparable"
            )


def _check_space(name: str, earlier: FrozenTrial, space: SearchSpace) -> None:
    """Refuse a trial that this space would not suggest with the same parameters and ranges."""
    replayed = FixedTrial(earlier.params)
    try:
        space.suggest(replayed)
    except ValueError as error:
        raise Refusal(f"warm_start: the space of study {name!r} differs: {error}") from error
    for key in sorted(earlier.distributions.keys() | replayed.distributions.keys()):
        theirs, ours = earlier.distributions.get(key), replayed.distributions.get(key)
        if theirs != ours:
            raise Refusal(
                f"warm_start: the space of study {name!r} differs: {key} is {theirs} there but "
                f"{ours} in this study"
            )


def _missing_study(name: str, names: list[str]) -> Refusal:
    if not names:
        return Refusal(
            f"warm_start: the study database has no study {name!r} and no other study to start "
            "from; run that study first, or remove warm_start"
        )
    return unknown("study in warm_start", name, names)
