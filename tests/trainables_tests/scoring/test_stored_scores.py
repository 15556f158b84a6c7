import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scored
from trainables.scoring.scores import Mark, TargetScores
from trainables.scoring.stored_scores import (
    StoredScores,
    read_scores,
    scores_beside,
    write_scores,
)

PROTOCOL = replace(scored.PROTOCOL, task="retrieval", layer=3, pooling="mean")


def stored_of(values: dict[str, float], seconds: float = 1.5) -> StoredScores:
    scores = TargetScores(
        task="retrieval",
        main="accuracy",
        source_language="en",
        chance=0.01,
        languages={code: {"accuracy": value} for code, value in values.items()},
        num_rows=dict.fromkeys(values, 3),
        protocol=PROTOCOL,
        mark=Mark.NONE,
        fertility={"de": 1.25},
    )
    return StoredScores(scores, seconds)


@given(
    st.dictionaries(st.sampled_from(["de", "fi", "sw"]), st.floats(0, 1), min_size=1),
    st.floats(0, 1e6),
)
def test_what_is_written_is_read_to_the_last_digit(tmp_path_factory, values, seconds) -> None:
    path = tmp_path_factory.mktemp("scores") / "key" / "x.json"
    stored = stored_of(values, seconds)
    write_scores(path, stored)
    assert read_scores(path) == stored


def test_they_lie_beside_the_outcomes() -> None:
    path = Path("home/outcomes/key/retrieval-validation-0.1.safetensors")
    assert scores_beside(path) == Path("home/outcomes/key/retrieval-validation-0.1.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-3],
        lambda text: text.replace("0.5", "0.9"),
        lambda text: "[]",
        lambda text: "{}",
        lambda text: json.dumps({"content": 1, "sha256": ""}),
        lambda text: "",
    ],
    ids=["cut", "another score", "a list", "nothing in it", "no text", "empty"],
)
def test_a_damaged_file_is_no_score(tmp_path: Path, change) -> None:
    path = tmp_path / "x.json"
    assert read_scores(path) is None
    write_scores(path, stored_of({"de": 0.5}))
    path.write_text(change(path.read_text()))
    assert read_scores(path) is None
