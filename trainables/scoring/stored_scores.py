"""Scores on disk, beside the outcomes of their rows: a model is scored once under one protocol.

Trials share stages. The untrained encoder, an intermediate phase that retrieval is scored after,
and a target phase of a repeated plan are the same models in many trials, under the same protocol.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from trainables.scoring.scores import TargetScores
from trainables.whole import write_whole


@dataclass(frozen=True, slots=True)
class StoredScores:
    """The scores of one model on one split, and the seconds that scoring it took."""

    scores: TargetScores
    seconds: float


def scores_beside(outcomes: Path) -> Path:
    """The path of the scores that belong to a file of outcomes. Its name holds the digest of the
    protocol, and its folder's name the model."""
    return outcomes.with_suffix(".json")


def write_scores(path: Path, stored: StoredScores) -> None:
    """Write the scores with their hash, whole or not at all."""
    text = json.dumps({"scores": stored.scores.to_dict(), "seconds": stored.seconds})
    document = {"content": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document).encode())


def read_scores(path: Path) -> StoredScores | None:
    """The stored scores; None where there are none, and where the file is damaged: they are then
    computed again."""
    try:
        document = json.loads(path.read_bytes())
        text = document["content"]
        if hashlib.sha256(text.encode()).hexdigest() != document["sha256"]:
            return None
        content = json.loads(text)
        return StoredScores(TargetScores.from_dict(content["scores"]), content["seconds"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
