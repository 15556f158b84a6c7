"""The lock of a retrain: what it was made of, and whether that is what the search had."""

import hashlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from search.trials.ranking import TrialRow
from spaces.phases import TrialPlan
from spaces.study import StudySettings
from trainables.encoders.model import BaseEncoder
from trainables.features.prepare import wanted_by
from trainables.rows.rows import Rows
from trainables.training.context import TrialContext
from trainables.training.evaluate import protocol_of
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.trial import scoring_of

IMAGE = "TRANSFER_SEARCH_IMAGE"  # the environment's: the image that runs, NAME@sha256:DIGEST
REVISION = "TRANSFER_SEARCH_REVISION"  # the commit that an image was built of
PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers", "tokenizers", "babel")


def versions() -> dict[str, str]:
    """Of the packages that decide results."""
    return {package: metadata.version(package) for package in PACKAGES}


def world_facts(settings: StudySettings, base: BaseEncoder, rows: Rows) -> dict[str, Any]:
    """What a study trains on beside its plans, by digest: the record keeps it from the search on.

    Digests of the rows that are scored are in the protocol of every score.
    """
    trained = {(w.task, w.language) for w in wanted_by(settings) if w.split == "train"}
    return {
        "training_version": TRAINING_VERSION,
        "encoder": base.weights_digest,
        "config": base.settings,
        "tokenizer": base.tokenizer_digest,
        "precision": settings.resources.computes_in.value,
        "train": {
            f"{task}@{language}": rows.fingerprint(task, language, "train")
            for task, language in sorted(trained)
        },
    }


def scored_facts(plan: TrialPlan, context: TrialContext, *, split: str) -> dict[str, str]:
    """Target -> digest of how it is scored on a split, and on which rows."""
    num_layers, rows = context.base.num_layers, context.data.rows
    return {
        target.task: protocol_of(
            scoring_of(target, context, split=split), num_layers=num_layers, rows=rows
        ).digest
        for target in plan.targets
    }


def lock(
    plans: Mapping[str, TrialPlan],
    seeds: Sequence[int],
    world: Mapping[str, Any],
    scored: Mapping[str, str],
) -> dict[str, Any]:
    """All that decides what a retrain gives, as JSON values: the frozen plans by role, their seeds,
    the data, the code, the packages, and the image if the environment names it.

    Args:
        scored: how each target is scored, by digest (`scored_facts`).

    `digest` is of the plans, the data and the scoring: runs of the same one may be averaged,
    whatever their seeds.
    """
    frozen = {role: plan.with_seed(0).to_dict() for role, plan in plans.items()}
    decisive = {"plans": frozen, "world": dict(world), "scored": dict(scored)}
    text = json.dumps(decisive, sort_keys=True)
    return {
        "digest": hashlib.sha256(text.encode()).hexdigest()[:16],
        "plans": {role: plan.to_dict() for role, plan in plans.items()},
        "seeds": list(seeds),
        "world": dict(world),
        "scored": dict(scored),
        "code": code_version(),
        "image": image if "@sha256:" in (image := os.environ.get(IMAGE, "")) else None,
        "python": python_version(),
        "packages": versions(),
    }


def code_version() -> dict[str, Any]:
    """The version of this distribution, and the commit where it is a checkout or an image of one;
    `is_changed` where the checkout has changes that are in no commit."""
    spec = importlib.util.find_spec("search")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parents[1]
    found = {"version": metadata.version("transfer-search")}
    if not (root / ".git").exists():
        return {**found, "commit": os.environ.get(REVISION) or None, "is_changed": None}
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {
        **found,
        "commit": _git(root, "rev-parse", "HEAD"),
        "is_changed": None if changes is None else bool(changes),
    }


def differences(row: TrialRow, recorded: Mapping[str, Any], context: TrialContext) -> list[str]:
    """What is not as it was in the search, each in words: the training version, the encoder, what
    its config sets, rows that the plan was trained or scored on. Empty means that a retrain repeats
    it.

    Args:
        recorded: `world_facts` of the search; empty in older records, where scores alone tell.
            What it does not name is not compared.
    """
    now = world_facts(context.settings, context.base, context.data.rows) if recorded else {}
    found = [
        f"{name} was {_short(recorded[name])}, is {_short(now[name])}"
        for name in ("training_version", "encoder", "tokenizer", "precision")
        if name in recorded and recorded[name] != now[name]
    ]
    found += _config_differences(recorded.get("config"), now.get("config", {}))
    was, given = recorded.get("train", {}), now.get("train", {})
    found += [
        f"train rows of {source} were {_short(was[source])}, are {_short(given.get(source))}"
        for source in was
        if was[source] != given.get(source)
    ]
    scored = {target.task: target.protocol for target in row.scores.targets} if row.scores else {}
    for target in row.plan.targets:
        scoring = scoring_of(target, context, split="validation")
        is_now = protocol_of(scoring, num_layers=context.base.num_layers, rows=context.data.rows)
        before = scored[target.task]
        found += [
            f"{name} of {target.task}'s validation scores was {_short(getattr(before, name))}, "
            f"is {_short(getattr(is_now, name))}"
            for name in before.differences(is_now)
            if not (recorded and name == "training_version")
        ]
    return found


def _config_differences(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """None is an older record. What a config does not set is its architecture's default."""
    default = "the default"
    return [
        f"the encoder's {name} was {was.get(name, default)}, is {now.get(name, default)}"
        for name in sorted({*(was or {}), *now})
        if was is not None and was.get(name, default) != now.get(name, default)
    ]


def version_warnings(recorded: Mapping[str, str]) -> list[str]:
    """Packages that are not of the version that the search ran on."""
    now = versions()
    return [
        f"{package} was {recorded[package]} in the search, is {now[package]} here"
        for package in PACKAGES
        if package in recorded and recorded[package] != now[package]
    ]


def _git(root: Path, *arguments: str) -> str | None:
    """What git says of a checkout; None where there is no git."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _short(value: Any) -> str:
    """The first 12 letters tell digests apart."""
    return str(value)[:12]
