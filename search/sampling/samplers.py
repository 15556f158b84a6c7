"""Builds the Optuna sampler that a study file names."""

import hashlib
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from spaces.study_file.study import StudySettings

NUM_RANDOM = 8  # scored trials before a sampler stops drawing at random


def directions(settings: StudySettings) -> list[StudyDirection]:
    """Return the direction of each objective, in the order of a trial's values."""
    down, up = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE
    return [down if name.is_minimised else up for name in settings.evaluation.objectives] or [up]


def sampler_for(
    settings: StudySettings, index: int, point: Mapping[str, Any] | None
) -> BaseSampler:
    """Return a sampler with a separate seed for every draw, so a restart does not repeat draws.

    The samplers model only parameters that all trials have jointly. Therefore `drawing` shows them
    trials that have every parameter.

    Args:
        index: number of trials asked before.
        point: params with fixed values, which are not drawn.
    """
    text = f"{settings.study.seed}:{index}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    name = settings.study.sampler
    if name == "nsga2":
        # This sampler also gets the fixed points: they belong to its first generation.
        sampler: BaseSampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=NUM_RANDOM)
    elif name == "random" or point is not None:
        sampler = optuna.samplers.RandomSampler(seed=seed)
    elif name == "gp":
        sampler = optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=NUM_RANDOM, warn_independent_sampling=False
        )
    else:
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=NUM_RANDOM
        )
    if point is not None:
        sampler = optuna.samplers.PartialFixedSampler(dict(point), sampler)
    return sampler
