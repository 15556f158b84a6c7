"""The predictor that answers rows of every kind."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.encoders.model import BaseEncoder
from trainables.exporting.model_folder import ABOUT, HEAD, ModelDescription, export_target
from trainables.exporting.predictor import Predictor, load_predictor
from trainables.training.context import TrialContext

OpenShop = Callable[..., TrialContext]
NOT_A_NUMBER = float("nan")

ROWS: Mapping[TaskKind, list[dict[str, Any]]] = {
    TaskKind.CLASSIFICATION: [
        {"text_a": "the old cat sat", "text_b": "on the warm mat"},
        {"text_a": "今日は東京で", "text_b": None},
        {"text_a": "a cat", "text_b": NOT_A_NUMBER},
        {"text_a": "looked at the sea and the mat " * 3},
    ],
    TaskKind.CHOICE: [
        {"text": "the cat sat on the", "choices": ["mat", "sea", "東京", "warm"]},
        {"text": "sea", "choices": ("a", "b", "c", "d")},
    ],
    TaskKind.SPAN: [
        {"question": "where is the sea", "context": "the old cat looked at the sea"},
        {"question": "東京", "context": "今日は東京でとても暑い日でした。"},
    ],
    TaskKind.TAGGING: [{"words": ["the", "old", "cat"]}, {"words": ("東京",)}],
    TaskKind.RETRIEVAL: [{"text": "the old cat"}, {"text": "東京"}],
}


def about(task: str, **fields: Any) -> ModelDescription:
    given = {"labels": SHIPPED.get(task).labels, "max_length": 64, "phase_key": None, "plan": {}}
    return ModelDescription(task=task, **{**given, **fields})


@pytest.fixture
def context(open_context: OpenShop) -> TrialContext:
    return open_context()


def exported(context: TrialContext, folder: Path, task: str, **fields: Any) -> Path:
    export_target(folder, context, about(task, **fields), card="# a card\n")
    return folder


@pytest.mark.parametrize("kind", list(ROWS))
def test_rows_without_answers(
    kind: TaskKind, base: BaseEncoder, task_of_kind: Callable[[TaskKind], str]
) -> None:
    task = SHIPPED.get(task_of_kind(kind))
    tasks = (task.training_task,) if task.trains else ()
    predictor = Predictor(base.model(tasks, encoder=None, seed=0), base, about(task.name), task)
    rows = ROWS[kind]
    result, answers = predictor.predict(rows), predictor.answer(rows)
    assert len(result) == len(rows)
    for row, predicted, answer in zip(rows, result, answers, strict=True):
        assert json.loads(json.dumps(answer)) is not None
        if kind is TaskKind.CLASSIFICATION:
            assert answer["probabilities"].keys() == set(task.labels)
            assert max(answer["probabilities"], key=answer["probabilities"].get) == predicted
        elif kind is TaskKind.CHOICE:
            assert len(answer["probabilities"]) == 4
            assert int(np.argmax(answer["probabilities"])) == predicted
        elif kind is TaskKind.SPAN:
            assert row["context"][answer["start"] : answer["end"]] == predicted == answer["answer"]
            assert predicted
        elif kind is TaskKind.TAGGING:
            assert len(predicted) == len(row["words"])
            assert set(predicted) <= set(task.labels)
        else:
            assert len(predicted) == base.config.hidden_size
        if "probabilities" in answer:
            shares = answer["probabilities"]
            shares = shares.values() if isinstance(shares, dict) else shares
            assert sum(shares) == pytest.approx(1)
    back = predictor.predict(rows[::-1])[::-1]
    if kind is TaskKind.RETRIEVAL:
        assert np.allclose(back, result, atol=1e-6), "a row does not depend on the others"
    else:
        assert back == result, "a row does not depend on the others"
    assert predictor.predict([]) == []


def test_vectors_are_of_the_layer_that_was_scored(base: BaseEncoder) -> None:
    model = base.model((), encoder=None, seed=0)
    ids = base.tokenizer("the old cat", return_tensors="pt")
    with torch.inference_mode():
        layers = base.encoder(**ids, output_hidden_states=True).hidden_states
    for layer in (1, base.num_layers):
        (vector,) = Predictor(
            model, base, about("retrieval", layer=layer), SHIPPED.get("retrieval")
        ).predict([{"text": "the old cat"}])
        assert np.allclose(vector, layers[layer].mean(dim=1)[0], atol=1e-6)


def test_what_was_exported_answers_alike(context: TrialContext, tmp_path: Path) -> None:
    folder = exported(context, tmp_path / "out", "rel", max_length=32, plan={"encoder": "tiny"})
    predictor = load_predictor(folder)
    assert predictor.about == about("rel", max_length=32, plan={"encoder": "tiny"})
    model = context.base.model((SHIPPED.get("rel"),), encoder=None, seed=0)
    direct = Predictor(model, context.base, predictor.about, SHIPPED.get("rel"))
    rows = ROWS[TaskKind.CLASSIFICATION]
    assert predictor.predict(rows) == direct.predict(rows)


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (TaskKind.CLASSIFICATION, {"text": "x"}, "row 0 has no column 'text_a'.*the row has text"),
        (TaskKind.CLASSIFICATION, {}, "the row has no column"),
        (TaskKind.CLASSIFICATION, {"text_a": 3}, "text_a is 3; expected text"),
        (TaskKind.CLASSIFICATION, {"text_a": "x", "text_b": 3}, "text_b is 3; expected text"),
        (TaskKind.CHOICE, {"text": "x"}, "no column 'choices'"),
        (TaskKind.CHOICE, {"text": "x", "choices": "abcd"}, "expected a list of texts"),
        (TaskKind.CHOICE, {"text": "x", "choices": 4}, "expected a list of texts"),
        (TaskKind.CHOICE, {"text": "x", "choices": []}, "0"),
        (TaskKind.SPAN, {"question": "x"}, "no column 'context'"),
        (TaskKind.TAGGING, {"tokens": ["x"]}, "no column 'words'"),
        (TaskKind.TAGGING, {"words": {"a": 1}}, "expected a list of texts"),
        (TaskKind.TAGGING, {"words": ["a", None]}, "words holds None; expected only texts"),
        (TaskKind.TAGGING, {"words": ["a", ["b"]]}, "holds .*; expected only texts"),
        (TaskKind.TAGGING, {"words": ["a", "\ud83d"]}, "column 'words' holds half of a surr"),
        (TaskKind.RETRIEVAL, {"text": "", "id": "\ud83d"}, "row 0: column 'id' holds half"),
        (TaskKind.RETRIEVAL, {"text": ""}, "text"),
    ],
)
def test_rows_that_are_refused(
    kind: TaskKind,
    row: dict[str, Any],
    message: str,
    base: BaseEncoder,
    task_of_kind: Callable[[TaskKind], str],
) -> None:
    task = SHIPPED.get(task_of_kind(kind))
    model = base.model((task.training_task,) if task.trains else (), encoder=None, seed=0)
    with pytest.raises(Refusal, match=message) as caught:
        Predictor(model, base, about(task.name), task).predict([row])
    assert "\n" not in str(caught.value)


def test_foreign_folders(context: TrialContext, encoder_folder: Path, tmp_path: Path) -> None:
    for folder in (encoder_folder, tmp_path / "nowhere"):
        with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
            load_predictor(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": "rel"}', '{"labels": 3}'])
def test_a_broken_description(content: str, context: TrialContext, tmp_path: Path) -> None:
    folder = exported(context, tmp_path / "out", "rel")
    (folder / ABOUT).write_text(content)
    with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
        load_predictor(folder)


def test_labels_that_changed_since(context: TrialContext, tmp_path: Path) -> None:
    folder = exported(context, tmp_path / "out", "rel")
    content = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**content, "labels": content["labels"][::-1]}))
    with pytest.raises(Refusal, match=r"but task 'rel' now has"):
        load_predictor(folder)
    (folder / ABOUT).write_text(json.dumps({**content, "task": "rell"}))
    with pytest.raises(Refusal, match="Did you mean 'rel'"):
        load_predictor(folder)


def test_a_head_of_another_shape(context: TrialContext, tmp_path: Path) -> None:
    folder = exported(context, tmp_path / "out", "rel")
    heads = load_file(folder / HEAD)
    save_file({name: value[:1].contiguous() for name, value in heads.items()}, folder / HEAD)
    with pytest.raises(Refusal, match="does not fit task 'rel'"):
        load_predictor(folder)
    (folder / HEAD).write_bytes(b"cut")
    with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
        load_predictor(folder)


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=9)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=6,
)
COLUMN_NAMES = ("text_a", "text_b", "text", "choices", "question", "context", "words", "id")


@pytest.mark.parametrize("kind", list(ROWS))
@given(row=st.dictionaries(st.sampled_from(COLUMN_NAMES) | ANY_TEXT, ANYTHING))
def test_any_row_is_checked_or_refused(
    kind: TaskKind,
    row: dict[str, Any],
    base: BaseEncoder,
    task_of_kind: Callable[[TaskKind], str],
) -> None:
    task = SHIPPED.get(task_of_kind(kind))
    model = base.model((task.training_task,) if task.trains else (), encoder=None, seed=0)
    predictor = Predictor(model, base, about(task.name), task)
    for whole in (row, {**ROWS[kind][0], **row}):
        try:
            checked, message = predictor.check(whole, "line 3"), ""
        except Refusal as refusal:
            checked, message = None, str(refusal)
        if checked is None:
            assert "line 3" in message
            assert message.isprintable()
            assert len(message) < 1500
        else:
            json.dumps(asdict(checked), ensure_ascii=False).encode()


def test_a_task_that_the_program_does_not_know(base: BaseEncoder) -> None:
    """The folder describes it, and whose head it has."""
    described = ModelDescription(
        task="mine",
        labels=("a", "b"),
        max_length=64,
        phase_key=None,
        plan={},
        kind="classification",
        head="theirs",
    )
    task = described.described_task()
    assert task is not None
    assert (task.name, task.kind, task.labels) == ("mine", TaskKind.CLASSIFICATION, ("a", "b"))
    assert task.training_task.name == "theirs"
    model = base.model((task.training_task,), encoder=None, seed=0)
    answers = Predictor(model, base, described, task).answer(ROWS[TaskKind.CLASSIFICATION])
    assert {answer["label"] for answer in answers} <= {"a", "b"}
    assert about("rel").described_task() is None
