"""Exported folders, and the predictor that answers rows of every kind."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from spaces.refusal import Refusal
from spaces.tasks import TASKS, TaskKind, get_task
from trainables.export import (
    ABOUT,
    HEAD,
    About,
    Predictor,
    check_new,
    export_target,
    load_predictor,
)
from trainables.model import BaseEncoder
from trainables.workshop import Workshop

OpenShop = Callable[..., Workshop]
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
}


def about(task: str, **fields: Any) -> About:
    given = {"labels": get_task(task).labels, "max_length": 64, "phase_key": None, "plan": {}}
    return About(task=task, **{**given, **fields})


@pytest.fixture
def shop(open_shop: OpenShop) -> Workshop:
    return open_shop()


def exported(shop: Workshop, folder: Path, task: str, **fields: Any) -> Path:
    export_target(folder, shop, about(task, **fields), card="# a card\n")
    return folder


@pytest.mark.parametrize("kind", list(ROWS))
def test_rows_without_answers(
    kind: TaskKind, base: BaseEncoder, task_of_kind: Callable[[TaskKind], str]
) -> None:
    task = get_task(task_of_kind(kind))
    model = base.model((task.training_task,), encoder=None, seed=0)
    predictor = Predictor(model, base, about(task.name))
    rows = ROWS[kind]
    found = predictor.predict(rows)
    assert len(found) == len(rows)
    for row, answer in zip(rows, found, strict=True):
        if kind is TaskKind.CLASSIFICATION:
            assert answer in task.labels
        elif kind is TaskKind.CHOICE:
            assert answer in range(4)
        elif kind is TaskKind.SPAN:
            assert answer in row["context"]
        else:
            assert len(answer) == len(row["words"])
            assert set(answer) <= set(task.labels)
    assert predictor.predict(rows[::-1]) == found[::-1], "a row does not depend on the others"
    assert predictor.predict([]) == []


def test_the_folder_is_a_plain_one(shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "rel")
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        HEAD,
        ABOUT,
        "README.md",
    }
    encoder, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer("the old cat", return_tensors="pt")
    with torch.inference_mode():
        ours = shop.base.encoder(**inputs).last_hidden_state
        theirs = encoder.eval()(**inputs).last_hidden_state
    assert torch.equal(ours, theirs)
    assert (folder / "README.md").read_text() == "# a card\n"


def test_what_was_exported_answers_alike(shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "rel", max_length=32, plan={"encoder": "tiny"})
    predictor = load_predictor(folder)
    assert predictor.about == about("rel", max_length=32, plan={"encoder": "tiny"})
    model = shop.base.model(("rel",), encoder=None, seed=0)
    direct = Predictor(model, shop.base, predictor.about)
    rows = ROWS[TaskKind.CLASSIFICATION]
    assert predictor.predict(rows) == direct.predict(rows)


def test_retrieval_is_an_encoder_that_predicts_nothing(shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "retrieval")
    assert load_file(folder / HEAD) == {}
    AutoModel.from_pretrained(folder)
    with pytest.raises(Refusal, match="'retrieval' is a retrieval task: it predicts nothing"):
        load_predictor(folder).predict([{"text": "x"}])


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
    ],
)
def test_rows_that_are_refused(
    kind: TaskKind,
    row: dict[str, Any],
    message: str,
    base: BaseEncoder,
    task_of_kind: Callable[[TaskKind], str],
) -> None:
    task = get_task(task_of_kind(kind))
    model = base.model((task.training_task,), encoder=None, seed=0)
    with pytest.raises(Refusal, match=message) as caught:
        Predictor(model, base, about(task.name)).predict([row])
    assert "\n" not in str(caught.value)


def test_a_folder_in_use(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(Refusal, match="not an empty folder"):
            exported(shop, folder, "rel")
    with pytest.raises(Refusal, match="cannot be written"):
        exported(shop, tmp_path / "file" / "below", "rel")
    assert (tmp_path / "file").read_text() == "kept"
    check_new(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_new(tmp_path / "empty")


def test_foreign_folders(shop: Workshop, encoder_folder: Path, tmp_path: Path) -> None:
    for folder in (encoder_folder, tmp_path / "nowhere"):
        with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
            load_predictor(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": "rel"}', '{"labels": 3}'])
def test_a_broken_description(content: str, shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "rel")
    (folder / ABOUT).write_text(content)
    with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
        load_predictor(folder)


def test_labels_that_changed_since(shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "rel")
    content = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**content, "labels": content["labels"][::-1]}))
    with pytest.raises(Refusal, match="which are now"):
        load_predictor(folder)
    (folder / ABOUT).write_text(json.dumps({**content, "task": "rell"}))
    with pytest.raises(Refusal, match="Did you mean 'rel'"):
        load_predictor(folder)


def test_a_head_of_another_shape(shop: Workshop, tmp_path: Path) -> None:
    folder = exported(shop, tmp_path / "out", "rel")
    heads = load_file(folder / HEAD)
    save_file({name: value[:1].contiguous() for name, value in heads.items()}, folder / HEAD)
    with pytest.raises(Refusal, match="is not one of task 'rel'"):
        load_predictor(folder)
    (folder / HEAD).write_bytes(b"cut")
    with pytest.raises(Refusal, match="is not a folder that `export` wrote"):
        load_predictor(folder)


def test_every_task_can_be_described() -> None:
    for task in TASKS.values():
        assert about(task.name).labels == task.labels
