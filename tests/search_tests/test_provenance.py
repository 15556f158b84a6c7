"""What a retrain is made of, and what is not as the search had it."""

import json
import re
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from search import provenance as lock
from search.trials.ranking import TrialRow, ranked
from spaces.json_values import to_json
from spaces.tasks.catalogue import SHIPPED
from trainables.training.context import TrialContext
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.workers import Workers


@pytest.fixture(scope="module")
def context(finished: Any) -> TrialContext:
    settings = finished.settings
    return TrialContext.open(
        settings, home=finished.home, encoder=settings.study.encoder, workers=Workers.alone()
    )


FACTS = lock.TrainingFacts(
    training_version=1,
    encoder="e",
    config={"hidden_dropout_prob": 0.1},
    tokenizer="t",
    precision="fp32",
    train={"a@en": "d"},
)


@pytest.fixture(scope="module")
def row(finished: Any) -> TrialRow:
    return ranked(finished.record.rows)[0]


@pytest.mark.ray
def test_the_record_has_what_the_search_trained_on(finished: Any, context: TrialContext) -> None:
    record = finished.record
    facts = lock.world_facts(finished.settings, context.base, context.data.rows)
    assert record.world == to_json(facts)
    assert set(facts.train) == {"fact@en", "coh@en", "rel@en"}
    assert facts.train["rel@en"] == context.data.rows.fingerprint(SHIPPED.get("rel"), "en", "train")
    assert record.versions == lock.versions()
    assert record.versions["ray"] == metadata.version("ray")


@pytest.mark.ray
def test_what_differs_is_named(
    finished: Any, context: TrialContext, row: TrialRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = finished.record.world
    assert lock.differences(row, world, context) == []
    assert lock.differences(row, {}, context) == [], "an older record: the scores tell"
    train = {**world["train"], "rel@en": "0" * 64}
    (found,) = lock.differences(row, {**world, "train": train}, context)
    assert re.fullmatch(r"the training rows of rel@en were 0{12} and are now [0-9a-f]{12}", found)
    (found,) = lock.differences(row, {**world, "encoder": "0" * 64}, context)
    assert found.startswith("encoder was 000000000000 and is now ")

    assert row.scores is not None
    first, *rest = row.scores.targets
    other = replace(first, protocol=replace(first.protocol, data="other rows"))
    changed = replace(row, scores=replace(row.scores, targets=(other, *rest)))
    (found,) = lock.differences(changed, world, context)
    assert found.startswith("data of rel's validation scores was other rows and is now ")

    monkeypatch.setattr(lock, "TRAINING_VERSION", 99)
    told = f"training_version was {TRAINING_VERSION} and is now 99"
    assert lock.differences(row, world, context) == [told]


@pytest.mark.ray
def test_what_the_encoders_config_sets_is_compared(
    finished: Any, context: TrialContext, row: TrialRow
) -> None:
    """The same weights under another config are another model; an older record does not say."""
    world = finished.record.world
    assert world["config"]["model_type"] == "xlm-roberta"
    assert world["precision"] == "fp32"
    config = {**world["config"], "hidden_dropout_prob": 0.3, "hidden_act": "relu"}
    config.pop("attention_probs_dropout_prob")
    assert lock.differences(row, {**world, "config": config}, context) == [
        "the encoder's attention_probs_dropout_prob was the default and is now 0.0",
        "the encoder's hidden_act was relu and is now the default",
        "the encoder's hidden_dropout_prob was 0.3 and is now 0.0",
    ]
    found = lock.differences(row, {**world, "precision": "bf16"}, context)
    assert found == ["precision was bf16 and is now fp32"]
    older = {k: v for k, v in world.items() if k not in ("config", "precision")}
    assert lock.differences(row, older, context) == []


def test_packages_of_another_version() -> None:
    now = lock.versions()
    assert lock.version_warnings(now) == []
    assert lock.version_warnings({}) == []
    (found,) = lock.version_warnings({**now, "torch": "1.0"})
    assert found == f"torch was 1.0 in the search and is {now['torch']} here"


def test_the_lock_is_plain_json(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lock.IMAGE, raising=False)
    plan = planted.plan("fact")
    plans = {"winner": plan, "baseline": plan.baseline()}
    given = (plans, [3, 4], FACTS, {"rel": "rows"})
    found = json.loads(json.dumps(to_json(lock.lock(*given))))
    assert list(found) == [
        *("digest", "plans", "seeds", "world", "scored", "code", "image", "python", "packages")
    ]
    assert found["plans"] == {role: plan.to_dict() for role, plan in plans.items()}
    assert found["scored"] == {"rel": "rows"}
    assert found["seeds"] == [3, 4]
    assert found["world"] == asdict(FACTS)
    assert list(found["code"]) == ["version", "commit", "is_changed"]
    assert found["image"] is None
    assert found["packages"] == lock.versions()
    monkeypatch.setenv(lock.IMAGE, "registry/name@sha256:0")
    assert lock.lock(*given).image == "registry/name@sha256:0"


def test_the_digest_of_a_lock_is_of_what_decides(planted: Any) -> None:
    """More seeds and another commit are the same retrain; other plans, data or scoring are not."""
    plan = planted.plan("fact")
    plans, world = {"winner": plan, "baseline": plan.baseline()}, FACTS

    def digest(*given: Any) -> str:
        return lock.lock(*given).digest

    same = digest(plans, [3], world, {"rel": "rows"})
    assert digest({"winner": plan.with_seed(9), **plans}, [3, 4], world, {"rel": "rows"}) == same
    others = [
        ({"winner": plan}, [3], world, {"rel": "rows"}),
        (plans, [3], replace(FACTS, train={"a@en": "e"}), {"rel": "rows"}),
        (plans, [3], world, {"rel": "other rows"}),
    ]
    assert len({same, *(digest(*given) for given in others)}) == 4


def test_the_version_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lock.code_version()
    assert found.version == metadata.version("transfer-search")
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40}", found.commit or "")
        assert isinstance(found.is_changed, bool)
    # In an image there is no checkout, and perhaps no git: its own environment says what it is.
    place = tmp_path / "search" / "__init__.py"
    monkeypatch.setattr(
        lock.importlib.util, "find_spec", lambda name: type("Spec", (), {"origin": str(place)})
    )
    monkeypatch.setenv(lock.REVISION, "abc")
    assert lock.code_version() == replace(found, commit="abc", is_changed=None)
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lock.code_version() == replace(found, commit=None, is_changed=None)
