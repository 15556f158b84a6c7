"""A task that a study file describes: trained, scored, and answered from its model folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainables.exporting.model_folder import ModelDescription, export_target
from trainables.exporting.predictor import load_predictor
from trainables.training.context import TrialContext
from trainables.training.trial import run_trial

LABELS = ["bug", "wish", "other"]
TOPICS = {
    "kind": "classification",
    "languages": ["en", "sv"],
    "labels": LABELS,
    "rows": "rows/topics",
    "columns": {"sentence1": "text", "label": "category"},
    "label_names": {"bugs!": "bug"},
    "num_train_rows": 24,
}
WORDS = {"kind": "tagging", "languages": ["en"], "labels": ["N", "V"], "rows": "rows/type"}
PARAMS = {
    "intermediate": "type",
    "intermediate.learning_rate": 1e-3,
    "target.learning_rate": 1e-3,
}


def write_rows(folder: Path) -> None:
    for language in ("en", "sv"):
        for split in ("train", "validation", "test"):
            path = folder / "rows/topics" / language / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            theirs = ("bugs!", *LABELS[1:])
            rows = [{"text": f"{language} {n}", "category": theirs[n % 3]} for n in range(24)]
            path.write_text("\n".join(map(json.dumps, rows)))
    (folder / "rows/type/en").mkdir(parents=True)
    (folder / "rows/type/en/train.conll").write_text("Cats N\nsleep V\n\n" * 12)


@pytest.fixture
def context(tmp_path: Path, open_context: Callable[..., TrialContext]) -> TrialContext:
    write_rows(tmp_path / "study")
    return open_context(
        study={"rows_folder": str(tmp_path / "study")},
        tasks={"topics": TOPICS, "type": WORDS},
        space={"targets": ["topics"], "intermediate": ["none", "type"]},
        evaluation={"languages": []},
    )


def test_from_rows_to_an_answer(
    context: TrialContext, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    plan = context.settings.search_space().decode(PARAMS)
    scores = run_trial(plan, context, events.append)
    assert scores is not None
    assert scores.targets[0].by_language.keys() == {"en", "sv"}
    keys = [event["key"] for event in events if event["event"] == "phase"]
    assert len(keys) == 2
    about = ModelDescription(
        task="topics",
        labels=tuple(LABELS),
        max_length=64,
        phase_key=keys[-1],
        plan=plan.to_dict(),
        kind="classification",
        head="topics",
        pooling="first",
    )
    export_target(tmp_path / "model", context, about, card="# a card\n")
    predictor = load_predictor(tmp_path / "model")
    (answer,) = predictor.answer([{"text_a": "sv 7"}])
    assert answer["label"] in LABELS
    assert set(answer["probabilities"]) == set(LABELS)


def test_keys_are_of_rows_and_labels_and_not_of_places(
    context: TrialContext, tmp_path: Path, open_context: Callable[..., TrialContext]
) -> None:
    def key(root: str, **changes: Any) -> str:
        other = open_context(
            study={"data_root": root} if root else {"rows_folder": str(tmp_path / "study")},
            tasks={"topics": {**TOPICS, **changes}, "type": WORDS},
            space={"targets": ["topics"], "intermediate": ["none", "type"]},
            evaluation={"languages": []},
        )
        plan = other.settings.search_space().decode(PARAMS)
        return other.key_facts.key(plan.targets[0].phase, None)  # type: ignore[arg-type]

    first = key("")
    write_rows(tmp_path / "root")
    assert key(str(tmp_path / "root")) == first, "below a data root"
    assert key("", chance=0.1, num_train_rows=7) == first
    changes = [
        {"labels": ["wish", "bug", "other"]},
        {"label_names": {"bugs!": "other"}},
        {"source_language": "sv"},
        {"columns": {"sentence1": "category", "label": "category"}},
    ]
    assert len({first, *(key("", **change) for change in changes)}) == 5
