"""Optuna's samplers as a study asks for them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from spaces.study import StudySettings

NUM_RANDOM = 8  # trials that have to be scored before a sampler learns from them


def directions(settings: StudySettings) -> list[StudyDirection]:
    """Of the study's objectives, in the order in which trials are told their values."""
    down, up = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE
    return [down if name.is_minimised else up for name in settings.evaluation.objectives] or [up]


def sampler_for(
    settings: StudySettings, index: int, point: Mapping[str, Any] | None
) -> BaseSampler:
    """A sampler with a seed of its own for every draw, so that a restart does not repeat one.

    It models together what all trials have: `drawing` shows it trials that have every parameter.

    Args:
        index: how many trials were asked before.
        point: params that are not to be drawn.
    """
    text = f"{settings.study.seed}:{index}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    name = settings.study.sampler
    if name == "nsga2":
        # The points of the study file are drawn by it too: they are of its first generation.
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
