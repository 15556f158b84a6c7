"""Exported folders, as transformers reads them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    pipeline,
)

from spaces.phases import Phase
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from tests.trainables_tests.conftest import save_encoder, study
from trainables.exporting.model_folder import (
    ABOUT,
    HEAD,
    ModelDescription,
    export_target,
)
from trainables.exporting.predictor import load_predictor
from trainables.training.context import TrialContext
from trainables.training.stage import get_or_train
from trainables.training.workers import Workers

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
    assert (folder / "README.md").read_text().startswith("# a card\n\n## Load\n\n")


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
    given = context.base.tokenizer.model_max_length
    assert tokenizer.model_max_length == given, "the pipeline cuts no text that predict reads"
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


# Family -> the fixture of its tokenizer, what its config needs beside SIZES.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("wordpiece", {}),
    "bert with the tokenizer of XLM-R": ("tokenizer", {}),  # as multilingual E5 and MiniLM
    "xlm-roberta": ("tokenizer", {"type_vocab_size": 1}),
    "deberta-v2": ("tokenizer", {"type_vocab_size": 0, "relative_attention": True}),
    "modernbert": ("byte_level", {"global_attn_every_n_layers": 2}),
    "distilbert": ("wordpiece", {"hidden_dim": 64}),
}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.4,  # or all rows would get nearly the same answer
}
LONG = "the old cat looked at the warm sea " * 20
PAIRS = (("the old cat", "sat on the mat"), (LONG, "a sea"), ("a sea", LONG), (LONG, LONG))


@pytest.fixture
def trained(
    request: pytest.FixtureRequest, tmp_path: Path, make_phase: Callable[..., Phase]
) -> Callable[..., Path]:
    """The folder of a task on a tiny encoder of a family, exported after some steps with a head on
    the first token: `trained("bert", "rel")`."""

    def make(family: str, task: str, **about_it: Any) -> Path:
        name, options = FAMILIES[family]
        tokenizer = request.getfixturevalue(name)
        config = AutoConfig.for_model(
            family.split()[0],
            **{"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id},
            **{**SIZES, **options},
        )
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(tmp_path / "encoder")
        tokenizer.save_pretrained(tmp_path / "encoder")
        settings = study(str(tmp_path / "encoder"), {})
        context = TrialContext.open(
            settings,
            home=tmp_path / "home",
            encoder=str(tmp_path / "encoder"),
            workers=Workers.alone(),
        )
        key = None
        if SHIPPED.get(task).trains:
            phase = make_phase(task, num_steps=4, max_train_rows=16, pooling="first")
            key = get_or_train(phase, None, context, lambda event: None).key
        fields = {"phase_key": key, "pooling": "first", "max_length": 24, **about_it}
        return exported(context, tmp_path / "out", task, **fields)

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_is_a_whole_model_of_transformers(
    family: str, trained: Callable[..., Path]
) -> None:
    folder = trained(family, "rel")
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert list(model.config.id2label.values()) == list(SHIPPED.get("rel").labels)
    assert model.config.problem_type == "single_label_classification"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(
        [a for a, _ in PAIRS],
        [b for _, b in PAIRS],
        truncation=True,
        padding=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        theirs = model.eval()(**inputs).logits.softmax(dim=-1)
    rows: list[dict[str, str]] = [{"text_a": a, "text_b": b} for a, b in PAIRS]
    ours = load_predictor(folder).answer([*rows, {"text_a": LONG}])
    expected = torch.tensor([list(answer["probabilities"].values()) for answer in ours])
    torch.testing.assert_close(theirs, expected[:-1], atol=1e-5, rtol=0)
    assert expected[:-1].std(dim=0).max() > 1e-4, "the rows get different answers"
    ask = pipeline("text-classification", model=str(folder))
    asked = [{"text": a, "text_pair": b} for a, b in PAIRS] + [LONG]
    for question, answer in zip(asked, ours, strict=True):
        (found,) = ask([question], truncation=True)
        assert found["label"] == answer["label"]
        assert found["score"] == pytest.approx(answer["probabilities"][answer["label"]], abs=1e-5)
    assert "AutoModelForSequenceClassification" in (folder / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chooser_is_a_whole_model_of_transformers(
    family: str, trained: Callable[..., Path]
) -> None:
    folder = trained(family, "fact")
    model, loading = AutoModelForMultipleChoice.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ("the old cat", LONG):
        choices = ["sat", "on the mat", "a warm sea", "東京"]
        inputs = tokenizer(
            [text] * 4, choices, truncation="only_first", padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = model.eval()(**{k: v.unsqueeze(0) for k, v in inputs.items()}).logits
        (answer,) = load_predictor(folder).answer([{"text": text, "choices": choices}])
        expected = torch.tensor([answer["probabilities"]])
        torch.testing.assert_close(logits.softmax(dim=-1), expected, atol=1e-5, rtol=0)
        assert expected.std() > 1e-4, "the choices get different answers"
    assert "AutoModelForMultipleChoice" in (folder / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [None, 3])
def test_a_retriever_is_a_model_of_sentence_transformers(
    family: str, layer: int | None, trained: Callable[..., Path]
) -> None:
    folder = trained(family, "retrieval", layer=layer)
    texts = ["the old cat", "a sea", LONG]
    ours = np.stack(load_predictor(folder).predict([{"text": text} for text in texts]))
    card = (folder / "README.md").read_text()
    assert json.loads((folder / ABOUT).read_text())["layer"] == (layer or 2)
    if family == "modernbert" and layer is None:  # a norm follows its last layer
        assert not (folder / "modules.json").exists()
        assert "SentenceTransformer" not in card
        assert AutoModel.from_pretrained(folder).config.num_hidden_layers == 3
        return
    model = SentenceTransformer(str(folder), device="cpu")
    theirs = model.encode(texts)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert model.similarity_fn_name == "cosine"
    assert model.max_seq_length == 24
    assert "`SentenceTransformer` loads the folder" in card
    assert AutoModel.from_pretrained(folder).config.num_hidden_layers == (layer or 2)


def old_folder(folder: Path, tokenizer: PreTrainedTokenizerFast, task: str) -> Path:
    """A folder as versions before `pooling` wrote it."""
    save_encoder(folder, tokenizer, dropout=0.0)
    encoder = load_file(folder / "model.safetensors")
    drawn = torch.Generator().manual_seed(0)
    for name in sorted(encoder):
        encoder[name] = torch.randn(encoder[name].shape, generator=drawn) / 3
    save_file(encoder, folder / "model.safetensors", {"format": "pt"})
    outputs = {"rel": 3, "fact": 1}.get(task, 0)
    shapes = {"dense.weight": (32, 32), "dense.bias": (32,)}
    shapes |= {"out_proj.weight": (outputs, 32), "out_proj.bias": (outputs,)}
    head = {
        f"{task}.{name}": torch.randn(shape, generator=drawn) / 3 for name, shape in shapes.items()
    }
    save_file(head if outputs else {}, folder / HEAD)
    content = {
        "task": task,
        "labels": SHIPPED.get(task).labels,
        "max_length": 32,
        "phase_key": None,
        "plan": {},
        "layer": None,
    }
    (folder / ABOUT).write_text(json.dumps(content))
    return folder


# Task -> a row, and what the version before `pooling` answered (the first four values).
GOLDEN: dict[str, tuple[dict[str, Any], list[float]]] = {
    "rel": (
        {"text_a": "the old cat", "text_b": "sat on the mat"},
        [0.16765, 0.37788, 0.45447],
    ),
    "fact": (
        {"text": "the old cat", "choices": ["sat", "on the mat", "東京"]},
        [0.33189, 0.34013, 0.32798],
    ),
    "retrieval": ({"text": "the old cat"}, [0.57185, -0.14724, 0.10413, -0.45384]),
}


@pytest.mark.parametrize("task", GOLDEN)
def test_folders_of_earlier_versions_answer_as_before(
    task: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    row, expected = GOLDEN[task]
    (answer,) = load_predictor(old_folder(tmp_path, tokenizer, task)).answer([row])
    found = answer.get("vector", answer.get("probabilities"))
    values = list(found.values()) if isinstance(found, dict) else found
    assert values[:4] == pytest.approx(expected, abs=1e-4)


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
