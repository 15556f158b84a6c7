"""The lock of a retrain: what decides its results, and what of that changed since the search."""

import hashlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import JsonValue

from search.trials.ranking import TrialRow
from spaces.json_values import JsonObject, to_json
from spaces.phases import TrialPlan
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder
from trainables.features.prepare import wanted_by
from trainables.rows.rows import Rows
from trainables.training.context import TrialContext
from trainables.training.evaluate import protocol_of
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.trial import scoring_of

# Environment variables: the image that runs (NAME@sha256:DIGEST), and the commit it was built from.
IMAGE = "TRANSFER_SEARCH_IMAGE"
REVISION = "TRANSFER_SEARCH_REVISION"
PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers", "tokenizers", "babel")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """What all trials of a study train on beside their plans, by digest; `train` has the digest of
    the training rows of each source (`TASK@LANGUAGE`)."""

    training_version: int
    encoder: str
    config: Mapping[str, JsonValue]
    tokenizer: str
    precision: str
    train: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVersion:
    """The version of this distribution and its commit; None where there is no git. `is_changed`
    says whether the checkout has changes that are in no commit."""

    version: str
    commit: str | None
    is_changed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainLock:
    """All that decides the results of a retrain: the frozen plans by role, their seeds, the data,
    the scoring, the code, the packages, and the image if the environment names it.

    `digest` is the digest of the plans, the data and the scoring: runs with the same digest may be
    averaged, whatever their seeds are. The fields are the keys of the record's `lock.json`.
    """

    digest: str
    plans: Mapping[str, JsonObject]
    seeds: tuple[int, ...]
    world: TrainingFacts
    scored: Mapping[str, str]
    code: CodeVersion
    image: str | None
    python: str
    packages: Mapping[str, str]


def versions() -> dict[str, str]:
    """Package -> version, for the packages that decide results."""
    return {package: metadata.version(package) for package in PACKAGES}


def world_facts(settings: StudySettings, base: BaseEncoder, rows: Rows) -> TrainingFacts:
    """The training facts of a study, which the record keeps from the start of the search.

    Digests of the rows that are scored are in the protocol of every score.
    """
    trained = {(w.task, w.language) for w in wanted_by(settings) if w.split == "train"}
    return TrainingFacts(
        training_version=TRAINING_VERSION,
        encoder=base.weights_digest,
        config=base.settings,
        tokenizer=base.tokenizer_digest,
        precision=settings.resources.computes_in.value,
        train={
            f"{task}@{language}": rows.fingerprint(task, language, "train")
            for task, language in sorted(trained, key=lambda cell: (cell[0].name, cell[1]))
        },
    )


def scored_facts(plan: TrialPlan, context: TrialContext, *, split: str) -> dict[str, str]:
    """Target -> digest of the protocol and the rows that it is scored with on a split."""
    num_layers, rows = context.base.num_layers, context.data.rows
    return {
        target.task.name: protocol_of(
            scoring_of(target, context, split=split), num_layers=num_layers, rows=rows
        ).digest
        for target in plan.targets
    }


def lock(
    plans: Mapping[str, TrialPlan],
    seeds: Sequence[int],
    world: TrainingFacts,
    scored: Mapping[str, str],
) -> RetrainLock:
    """The lock of a retrain of these plans, by role, with these seeds.

    Args:
        scored: how each target is scored, by digest (`scored_facts`).
    """
    frozen = {role: plan.with_seed(0).to_dict() for role, plan in plans.items()}
    decisive = {"plans": frozen, "world": to_json(world), "scored": dict(scored)}
    text = json.dumps(decisive, sort_keys=True)
    image = os.environ.get(IMAGE, "")
    return RetrainLock(
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        plans={role: plan.to_dict() for role, plan in plans.items()},
        seeds=tuple(seeds),
        world=world,
        scored=scored,
        code=code_version(),
        image=image if "@sha256:" in image else None,
        python=python_version(),
        packages=versions(),
    )


def code_version() -> CodeVersion:
    """The version of this distribution, with the commit of its checkout or of its image."""
    spec = importlib.util.find_spec("search")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parents[1]
    version = metadata.version("transfer-search")
    if not (root / ".git").exists():
        commit = os.environ.get(REVISION) or None
        return CodeVersion(version=version, commit=commit, is_changed=None)
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return CodeVersion(
        version=version,
        commit=_git(root, "rev-parse", "HEAD"),
        is_changed=None if changes is None else bool(changes),
    )


def differences(row: TrialRow, recorded: Mapping[str, Any], context: TrialContext) -> list[str]:
    """One phrase for each difference from the search: the training version, the encoder, a value in
    its config, the rows that the plan was trained or scored on. Empty if a retrain repeats the
    trial.

    Args:
        recorded: the `world_facts` of the search as the record holds them. A fact that it lacks is
            not compared; in older records it is empty, and only the protocols of scores are.
    """
    changed = _fact_differences(recorded, context) if recorded else []
    scored = {target.task: target.protocol for target in row.scores.targets} if row.scores else {}
    for target in row.plan.targets:
        scoring = scoring_of(target, context, split="validation")
        now = protocol_of(scoring, num_layers=context.base.num_layers, rows=context.data.rows)
        before = scored[target.task.name]
        changed += [
            f"{name} of {target.task}'s validation scores was {_short(getattr(before, name))} and "
            f"is now {_short(getattr(now, name))}"
            for name in before.differences(now)
            if not (recorded and name == "training_version")
        ]
    return changed


def _fact_differences(recorded: Mapping[str, Any], context: TrialContext) -> list[str]:
    now = world_facts(context.settings, context.base, context.data.rows)
    changed = [
        f"{name} was {_short(recorded[name])} and is now {_short(getattr(now, name))}"
        for name in ("training_version", "encoder", "tokenizer", "precision")
        if name in recorded and recorded[name] != getattr(now, name)
    ]
    if "config" in recorded:  # older records have none
        changed += _config_differences(recorded["config"], now.config)
    return changed + [
        f"the training rows of {source} were {_short(digest)} and are now "
        f"{_short(now.train.get(source))}"
        for source, digest in recorded.get("train", {}).items()
        if digest != now.train.get(source)
    ]


def _config_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A key that a config does not set has the default of its architecture."""
    default = "the default"
    return [
        f"the encoder's {key} was {before.get(key, default)} and is now {now.get(key, default)}"
        for key in sorted({*before, *now})
        if before.get(key, default) != now.get(key, default)
    ]


def version_warnings(recorded: Mapping[str, str]) -> list[str]:
    """One phrase for each package whose version differs from that of the search."""
    now = versions()
    return [
        f"{package} was {recorded[package]} in the search and is {now[package]} here"
        for package in PACKAGES
        if package in recorded and recorded[package] != now[package]
    ]


def _git(root: Path, *arguments: str) -> str | None:
    """The output of git for a checkout; None if git is missing or fails."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _short(value: object) -> str:
    """The first 12 characters, which are enough to tell digests apart."""
    return str(value)[:12]
