"""Which seed is registered, what its version says, and the alias of a real registry, as a retrain
moves it (the whole way is in test_retrain)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from search.record.mlflow_client import connect
from search.record.mlflow_runs import TAG
from search.record.reader import WINNER
from search.record.registry import RegisteredModel, Registry
from search.winner import register as registering
from search.winner.register import _halved, crown, rates_of, register, version_tags
from search.winner.verdict import RetrainedSeed, Verdict
from spaces.json_values import to_json
from trainables.scoring import outcomes
from trainables.scoring.scores import Mark
from trainables.store.phase_store import PhaseRecord
from trainables.training.key_facts import KeyFacts


def verdict(planted: Any, *levels: float, **protocol: Any) -> Verdict:
    """Seeds from 0 on, as good on validation rows as on test rows."""
    runs = tuple(
        RetrainedSeed(
            role=WINNER,
            seed=seed,
            plan=planted.plan("fact"),
            scores=planted.scores(level, **protocol),
            validation=planted.scores(level),
            phase_keys=(),
        )
        for seed, level in enumerate(levels)
    )
    return Verdict(study="tiny", trial=1, runs=runs, models=())


class Log:
    """What would be registered."""

    name = "trial-1"

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def register(self, folder: Path, **given: Any) -> None:
        self.given = given


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Nothing is exported: there is no trained phase here."""
    about = type("About", (), {"phase_key": "k"})
    monkeypatch.setattr(registering, "about_target", lambda *given: about)
    monkeypatch.setattr(registering, "export_target", lambda *given, **more: None)
    monkeypatch.setattr(registering, "whole_card", lambda scores, *given, **more: scores)
    return Log()


def test_a_collapsed_seed_is_not_registered(log: Log, planted: Any) -> None:
    """Seeds .30 (collapsed), .70 and .71: the first one was, as a version of 57.0."""
    found = verdict(planted, 0.30, 0.70, 0.71)
    first, *rest = found.runs
    fallen = planted.scores(0.30, mark=Mark.COLLAPSED)
    found = replace(found, runs=(replace(first, scores=fallen, validation=fallen), *rest))
    register(found, "rel", None, log)  # type: ignore[arg-type]
    assert log.given["seed"] == 2
    tags = log.given["tags"]
    assert json.loads(tags["zero_shot_means"]) == pytest.approx([0.30, 0.70, 0.71])
    assert float(tags["zero_shot_mean"]) == pytest.approx(0.71)
    assert float(tags["validation"]) == pytest.approx(0.71)
    assert (tags["seed"], tags["retrain"]) == ("2", "trial-1")
    assert (tags["collapsed"], tags["diverged"]) == ("1 of 3 seeds", "0 of 3 seeds")


def test_nothing_is_registered_where_no_seed_learned(log: Log, planted: Any) -> None:
    found = verdict(planted, 0.3, 0.3)
    fallen = planted.scores(0.3, mark=Mark.COLLAPSED)
    runs = tuple(replace(run, scores=fallen, validation=fallen) for run in found.runs)
    assert register(replace(found, runs=runs), "rel", None, log) is None  # type: ignore[arg-type]
    assert log.given == {}


def test_tags_without_a_validation_score(planted: Any) -> None:
    """The rule may leave a target without any."""
    found = verdict(planted, 0.6)
    run = replace(found.runs[0], validation=None)
    assert version_tags(replace(found, runs=(run,)), run, "rel", "r")["validation"] == ""


def tag(uri: str, version: RegisteredModel, tags: Mapping[str, str]) -> None:
    """As they are where a retrain registers a version."""
    for name, value in tags.items():
        connect(uri).set_model_version_tag(version.name, version.version, TAG + name, value)


def test_the_alias_moves_only_to_what_is_shown_to_be_as_good(
    uri: str, add: Callable[..., RegisteredModel], planted: Any
) -> None:
    """The first version has tags of its own claim; the second is another task's folder."""
    registry = Registry.open(uri)
    first = add("tiny-rel", "tiny")
    good = verdict(planted, 0.60, 0.61)
    assert (
        crown(registry, first, good, "rel", is_forced=False).reason
        == "there was no champion before"
    )
    assert (
        crown(registry, first, good, "rel", is_forced=False).reason == "it was the champion already"
    )

    second = add("tiny-rel", "tiny", "pos")
    assert second.version == "2"
    found = crown(registry, second, verdict(planted, 0.9, 0.91), "rel", is_forced=False)
    assert not found.is_champion, "the first one's tags say nothing of its scores"
    assert registry.champion("tiny-rel") == first
    found = crown(registry, second, verdict(planted, 0.9, 0.91), "rel", is_forced=True)
    assert found.is_champion
    assert registry.champion("tiny-rel") == second
    assert json.loads(json.dumps(to_json(found)))["name"] == "tiny-rel"


def test_a_folder_says_at_which_rates_it_was_really_trained(planted: Any) -> None:
    """The plan beside it says the rate that diverged; the card says both."""
    plan = planted.plan("fact", 2e-4, 1e-4)
    world = KeyFacts("weights", "tokenizer")
    (stem, _, phase), *_ = world.stages(plan)
    half = replace(phase, learning_rate=1e-4)
    retry = world.key(half, None)
    key = world.stages(plan, trained_as=lambda planned: retry)[1][0]
    records = {
        stem: PhaseRecord(key=retry, parent=None, phase=half.to_dict(), retry_of=stem),
        key: PhaseRecord(key=key, parent=retry, phase=plan.targets[0].phase.to_dict()),
    }
    store = SimpleNamespace(
        resolve=records.get, trained_as=lambda k: records[k].key if k in records else k
    )
    context: Any = SimpleNamespace(key_facts=world, store=store)
    rel, retrieval = plan.targets[0], plan.targets[2]
    assert rates_of(plan, rel, context) == {"intermediate": 1e-4, "target": 1e-4}
    assert rates_of(plan, retrieval, context) == {"intermediate": 1e-4}
    (told,) = _halved(plan, "rel", context)
    assert told == (
        "Its intermediate phase diverged at the planned learning rate 2e-04, so it was trained "
        "at half of that, 1e-04."
    )
    records[stem] = PhaseRecord(key=stem, parent=None, phase=phase.to_dict())
    assert _halved(plan, "rel", context) == []


def test_the_rows_of_both_models_decide(
    uri: str, add: Callable[..., RegisteredModel], planted: Any, tmp_path: Path
) -> None:
    """Equal scores are as good where they are of the same rows, and may be anything where they are
    not; a promoted worse one in between does not lower the measure."""
    rows = {code: (np.arange(100) < 60).astype(np.uint8) for code in ("en", "de", "tr")}
    files = [tmp_path / name for name in ("same.safetensors", "other.safetensors")]
    outcomes.write(files[0], outcomes.ByLanguage(rows))
    outcomes.write(files[1], outcomes.ByLanguage({code: v[::-1] for code, v in rows.items()}))
    scores = planted.scores(0.6)
    level = planted.target_scores("rel", dict.fromkeys(rows, 0.6))
    scores = replace(scores, targets=(level, *scores.targets[1:]))
    worse = verdict(planted, 0.3)

    def of(file: Path) -> Verdict:
        run = replace(worse.runs[0], scores=scores, outcomes={"rel": str(file)})
        return replace(worse, runs=(run,))

    registry = Registry.open(uri)
    first = add("tiny-rel", "tiny", outcomes=files[0])
    tag(uri, first, version_tags(of(files[0]), of(files[0]).runs[0], "rel", "r"))
    assert registry.outcomes(first).keys() == rows.keys()  # type: ignore[union-attr]
    crown(registry, first, of(files[0]), "rel", is_forced=False)
    second = add("tiny-rel", "tiny", "pos")
    tag(uri, second, version_tags(worse, worse.runs[0], "rel", "r"))
    assert registry.outcomes(second) is None
    assert crown(registry, second, worse, "rel", is_forced=True).is_champion

    third = add("tiny-rel", "tiny", "retrieval")
    other = crown(registry, third, of(files[1]), "rel", is_forced=False)
    assert not other.is_champion
    assert other.reason.startswith("not shown to be as good as version 1, the best so far (60.0):")
    assert "row by row (100 rows in each language)" in other.reason
    same = crown(registry, third, of(files[0]), "rel", is_forced=False)
    assert same.is_champion
    assert registry.champion("tiny-rel") == registry.versions("tiny-rel")[2]
