"""Exported folders, as transformers reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.exporting.model_folder import (
    ABOUT,
    HEAD,
    ModelDescription,
    export_target,
)
from trainables.exporting.predictor import load_predictor
from trainables.training.context import TrialContext

OpenShop = Callable[..., TrialContext]


def about(task: str, **fields: Any) -> ModelDescription:
    given = {"labels": SHIPPED.get(task).labels, "max_length": 64, "phase_key": None, "plan": {}}
    return ModelDescription(task=task, **{**given, **fields})


@pytest.fixture
def context(open_context: OpenShop) -> TrialContext:
    return open_context()


def exported(context: TrialContext, folder: Path, task: str, **fields: Any) -> Path:
    export_target(folder, context, about(task, **fields), card="# a card\n")
    return folder


def test_the_folder_is_a_plain_one(context: TrialContext, tmp_path: Path) -> None:
    folder = exported(context, tmp_path / "out", "rel")
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
        ours = context.base.encoder(**inputs).last_hidden_state
        theirs = encoder.eval()(**inputs).last_hidden_state
    assert torch.equal(ours, theirs)
    assert (folder / "README.md").read_text() == "# a card\n"


def test_tags_are_those_of_transformers(
    context: TrialContext, tmp_path: Path, task_of_kind: Callable[[TaskKind], str]
) -> None:
    task = SHIPPED.get(task_of_kind(TaskKind.TAGGING))
    folder = exported(context, tmp_path / "out", task.name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, loading = AutoModelForTokenClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    words = ["the", "old", "cat", "東京"]
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        best = model.eval()(**encoded).logits[0].argmax(dim=-1)
    word_ids = encoded.word_ids()
    theirs = [model.config.id2label[int(best[word_ids.index(word)])] for word in range(len(words))]
    assert theirs == load_predictor(folder).predict([{"words": words}])[0]
    result = pipeline("token-classification", model=str(folder))("the old cat")
    assert {entity["entity"] for entity in result} <= set(task.labels)
    _, loading = AutoModel.from_pretrained(
        folder, add_pooling_layer=False, output_loading_info=True
    )
    assert not loading["missing_keys"], "the encoder alone loads too"


def test_spans_are_those_of_transformers(
    context: TrialContext, tmp_path: Path, task_of_kind: Callable[[TaskKind], str]
) -> None:
    folder = exported(context, tmp_path / "out", task_of_kind(TaskKind.SPAN))
    model, loading = AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    context = "the old cat looked at the sea"
    encoded = AutoTokenizer.from_pretrained(folder)(
        "where is it", context, return_tensors="pt", return_offsets_mapping=True
    )
    offsets = encoded.pop("offset_mapping")[0].tolist()
    inside = [token for token, of in enumerate(encoded.sequence_ids(0)) if of == 1]
    with torch.inference_mode():
        predicted = model.eval()(**encoded)
    pairs = [(first, last) for first in inside for last in inside if first <= last < first + 30]
    first, last = max(
        pairs,
        key=lambda pair: float(
            predicted.start_logits[0, pair[0]] + predicted.end_logits[0, pair[1]]
        ),
    )
    (result,) = load_predictor(folder).predict([{"question": "where is it", "context": context}])
    assert context[offsets[first][0] : offsets[last][1]].strip() == result


def test_a_mean_of_all_tokens_is_no_head_of_transformers(
    context: TrialContext, tmp_path: Path
) -> None:
    folder = exported(context, tmp_path / "out", "rel")
    config = AutoModel.from_pretrained(folder).config
    assert config.architectures == context.base.config.architectures
    assert load_file(folder / HEAD)
    assert load_file(exported(context, tmp_path / "vectors", "retrieval") / HEAD) == {}


def test_a_folder_in_use(context: TrialContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(Refusal, match="not an empty folder"):
            exported(context, folder, "rel")
    with pytest.raises(Refusal, match="cannot be written"):
        exported(context, tmp_path / "file" / "below", "rel")
    assert (tmp_path / "file").read_text() == "kept"


def test_every_task_can_be_described() -> None:
    for task in SHIPPED:
        assert about(task.name).labels == task.labels
