import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.init.draft import TaskDraft
from search.init.study_text import study_text, toml
from spaces.tasks.task import TaskKind

DRAFT = TaskDraft(
    kind=TaskKind.CLASSIFICATION,
    is_pair=False,
    languages=("en", "de"),
    source="en",
    labels=("bug", "wish"),
    metric="accuracy",
    chance=None,
    unread=(),
    columns={},
    label_names={},
    configs={},
    splits={},
    header=True,
    single_split=(),
    may_be_unanswerable=False,
    train_rows={"en": 320},
    max_length=64,
)
NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
VALUES = NAMES | st.integers(-5, 5) | st.booleans() | st.lists(NAMES, max_size=30)


@given(VALUES | st.dictionaries(NAMES, VALUES, max_size=3))
def test_any_value_is_written_as_toml(value: object) -> None:
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value


@given(st.floats(1e-9, 0.99))
def test_rates_have_four_digits(rate: float) -> None:
    assert tomllib.loads(f"value = {toml(rate)}")["value"] == pytest.approx(rate, rel=1e-3)
    assert [toml(value) for value in (2e-5, 5e-4, 1.5e-12, 0.25, 1.0)] == [
        "2e-5",
        "5e-4",
        "1.5e-12",
        "0.25",
        "1",
    ]


@pytest.mark.parametrize("encoder", [None, "pocket", "/models/mine"])
@pytest.mark.parametrize("kind", TaskKind)
def test_every_kind_and_encoder(kind: TaskKind, encoder: str | None) -> None:
    text = study_text(
        replace(DRAFT, kind=kind), study="s", task="mine", rows="rows", encoder=encoder
    )
    tables = tomllib.loads(text)
    assert tables["tasks"]["mine"]["kind"] == kind
    assert tables["study"]["encoder"] == (encoder or "FacebookAI/xlm-roberta-base")
    assert ("revision" in tables["study"]) == (encoder is None)
    assert ("mnli" in tables["space"]["intermediate"]) == (encoder != "pocket")
    assert tables["space"].get("mlm", {}) == ({"text": "mine"} if kind is TaskKind.MLM else {})
    assert ("mine" in tables["space"]["targets"]) == (kind is not TaskKind.MLM)
    assert all(len(line) <= 100 for line in text.splitlines())


def test_what_differs_from_the_names_of_the_kind_is_written() -> None:
    draft = replace(
        DRAFT,
        chance=1 / 3,
        columns={"sentence1": "the text", "label": "2"},
        label_names={"A": "0"},
        configs={"de": "German"},
        splits={"validation": "dev"},
        header=False,
        single_split=("de",),
        may_be_unanswerable=True,
    )
    text = study_text(draft, study="s", task="mine", rows="../rows", encoder="pocket")
    assert tomllib.loads(text)["tasks"]["mine"] == {
        "kind": "classification",
        "source_language": "en",
        "languages": ["en", "de"],
        "labels": ["bug", "wish"],
        "metric": "accuracy",
        "chance": 0.3333,
        "answer_rules": "squad_v2",
        "rows": "../rows",
        "config": {"de": "German"},
        "splits": {"validation": "dev"},
        "header": False,
        "columns": {"sentence1": "the text", "label": "2"},
        "label_names": {"A": "0"},
        "single_split": ["de"],
    }
