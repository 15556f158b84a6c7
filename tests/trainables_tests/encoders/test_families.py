"""Encoder families, each as a tiny one with random weights: all heads work, or it is refused.

docs/reference/encoders.md lists the same families; a test compares the two.
"""

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedTokenizerFast,
)

from spaces.phases import Pooling
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task, TaskKind
from tests.trainables_tests.conftest import made_row
from trainables.encoders.model import BaseEncoder, hidden_states, state_digest
from trainables.examples import RetrievalExample
from trainables.exporting.model_folder import SAME_HEAD, whole_model
from trainables.exporting.sentence_folder import cut_to_layer
from trainables.formats.base import Batch, Features, collate
from trainables.formats.heads import PooledHead
from trainables.formats.kinds import format_of_task
from trainables.formats.mlm import mask_tokens
from trainables.store.folders import read_tensors, write_folder

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "encoders.md"
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "pad_token_id": 1,
}
# Family (its model_type) -> what its config needs beside SIZES.
WORKING: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "bert-generation": {},
    "big_bird": {"block_size": 8},
    "camembert": {},
    "data2vec-text": {},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
    },
    "distilbert": {"hidden_dim": 64},
    "electra": {"embedding_size": 16},
    "ernie": {},
    "esm": {},
    "esmc": {},
    "eurobert": {"num_key_value_heads": 2},
    "flaubert": {},
    "gte": {},
    "ibert": {},
    "jina_embeddings_v3": {},
    "layoutlm": {},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 20, "entity_emb_size": 16},
    "megatron-bert": {},
    "modernbert": {},
    "mpnet": {},
    "mt5 (encoder)": {"d_kv": 16, "d_ff": 64},
    "nomic_bert": {},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 24},
    "roberta": {},
    "roberta-prelayernorm": {},
    "roc_bert": {},
    "roformer": {"embedding_size": 16},
    "squeezebert": {"embedding_size": 32},
    "t5 (encoder)": {"d_kv": 16, "d_ff": 64},
    "ultrabert": {},
    "umt5 (encoder)": {"d_kv": 16, "d_ff": 64},
    "xlm": {},
    "xlm-roberta": {},
    "xlm-roberta-xl": {},
}
# Family -> (what its config needs beside SIZES, why it is refused).
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bart": ({}, "is an encoder with a decoder"),
    "bloom": ({}, "gives a token the same hidden states whatever follows it"),
    "canine": ({}, "has no table of token embeddings"),
    "convbert": ({"embedding_size": 32}, "gives other hidden states where padding follows"),
    "fnet": ({}, "gives other hidden states where padding follows"),
    "gpt2": ({}, "gives a token the same hidden states whatever follows it"),
    "led": ({}, "is an encoder with a decoder"),
    "llama": ({}, "gives a token the same hidden states whatever follows it"),
    "mbart": ({}, "is an encoder with a decoder"),
    "mobilebert": (
        {"embedding_size": 16, "intra_bottleneck_size": 16},
        "gives other hidden states where padding follows",
    ),
    "modernbert-decoder": ({}, "gives a token the same hidden states whatever follows it"),
    "mra": ({}, "gives a token the same hidden states whatever follows it"),
    "mt5": ({"d_kv": 16, "d_ff": 64}, "write its encoder alone with transformers.MT5EncoderModel"),
    "nystromformer": ({}, "gives other hidden states where padding follows"),
    "perceiver": ({}, "has num_hidden_layers = None in config.json"),
    "qwen3": (
        {"head_dim": 16, "num_key_value_heads": 2},
        "gives a token the same hidden states whatever follows it",
    ),
    "xmod": ({}, "cannot read a text"),
    "yoso": ({}, "gives other hidden states where padding follows"),
}
# Families without a class for classification, or whose class has another encoder (a decoder beside
# it, or global attention), and those that have no class for multiple choice.
NO_CLASS = {"bert-generation", "longformer", "mt5 (encoder)", "t5 (encoder)", "umt5 (encoder)"}
NO_CHOICE = {
    *("deberta", "esm", "esmc", "eurobert", "gte", "jina_embeddings_v3", "layoutlm"),
    *("nomic_bert", "ultrabert"),
}
# Families with a norm after their last layer, which a lower layer cannot be cut from.
NORM_AT_THE_END = {
    *(
        "esm",
        "esmc",
        "ultrabert",
        "eurobert",
        "megatron-bert",
        "modernbert",
        "mt5 (encoder)",
        "roberta-prelayernorm",
    ),
    *("t5 (encoder)", "umt5 (encoder)", "xlm-roberta-xl"),
}
NARROW = {"albert": 16, "electra": 16, "rembert": 16, "roformer": 16}

SaveFamily = Callable[[str], Path]


@pytest.fixture(scope="session")
def save_family(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> SaveFamily:
    """Writes the folder of a family once, with random weights that are always the same."""
    folder = tmp_path_factory.mktemp("families")

    def save(family: str) -> Path:
        target = folder / family
        if not target.exists():
            model_type, _, half = family.partition(" ")
            options = WORKING[family] if family in WORKING else REFUSED[family][0]
            known = AutoConfig.for_model(model_type)
            sizes = {name: size for name, size in SIZES.items() if hasattr(known, name)}
            config = AutoConfig.for_model(
                model_type, vocab_size=len(tokenizer), **{**sizes, **options}
            )
            torch.manual_seed(0)
            auto = AutoModelForTextEncoding if half else AutoModel
            model = auto.from_config(config)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(0.01)  # or the embedding of padding, and biases, would be zero
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
        return target

    return save


@pytest.fixture(scope="session")
def load_family(save_family: SaveFamily) -> Callable[[str], BaseEncoder]:
    """Loads a family once: nothing changes its weights, because a model is a copy."""
    return cache(lambda family: BaseEncoder.load(str(save_family(family))))


def first_task(kind: TaskKind) -> Task:
    return next(task for task in SHIPPED if task.kind is kind and not task.train_on)


def rows_of(task: Task) -> list[Any]:
    rng = random.Random(task.name)
    if task.kind is TaskKind.RETRIEVAL:
        texts = ("the old cat", "the warm sea", "on the mat")
        return [RetrievalExample(id=text, text=text, pivot=f"{text} sat") for text in texts]
    return [made_row(task, number, rng) for number in range(4)]


def a_batch(features: Features, task: Task, tokenizer: PreTrainedTokenizerFast) -> Batch:
    batch = collate(features, range(len(features)), pad_id=tokenizer.pad_token_id)
    if task.kind is not TaskKind.MLM:
        return batch
    return mask_tokens(
        batch,
        generator=torch.Generator().manual_seed(0),
        mask_id=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
        special_ids=tokenizer.all_special_ids,
        share=0.3,
    )


@pytest.mark.parametrize("family", WORKING)
def test_every_head_is_trained_and_read(family: str, load_family) -> None:
    base = load_family(family)
    tasks = [first_task(kind) for kind in TaskKind]
    trained = [task for task in tasks if task.trains]
    model = base.model(trained, encoder=None, seed=0).train()
    for task in tasks:
        form, rows = format_of_task(task), rows_of(task)
        features = form.encode(rows, task, tokenizer=base.tokenizer, max_length=64)
        batch = a_batch(features, task, base.tokenizer)
        head = model.heads[task.name] if task.trains else None
        if head is not None:
            loss = form.loss(head, model(batch)[0], batch)
            loss.backward()
            assert loss.isfinite()
            assert all(weight.grad is not None for weight in head.parameters())
        with torch.inference_mode():
            outputs = form.predict(head, model(batch, all_layers=form.reads_all_layers), batch)
        assert all(np.isfinite(output).all() for output in outputs)
        predictions = form.decode(outputs, features, rows, task)
        assert all(0 <= value <= 1 for value in form.score(predictions, rows, task, "en").values())
    table = model.encoder.get_input_embeddings().weight
    assert table.grad is not None
    assert table.shape[1] == NARROW.get(family, 32)


@pytest.mark.parametrize("family", WORKING)
def test_what_is_stored_is_what_was_trained(family: str, load_family, tmp_path: Path) -> None:
    base = load_family(family)
    model = base.model([], encoder=None, seed=0)
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.mul_(1.5)
    state = model.encoder.state_dict()
    write_folder(tmp_path / "phase", {"encoder": state}, {})
    again = base.model([], encoder=read_tensors(tmp_path / "phase", "encoder"), seed=0)
    assert state_digest(again.encoder.state_dict()) == state_digest(state) != base.weights_digest


@pytest.mark.parametrize("family", WORKING)
def test_the_exported_model_says_what_encoder_and_head_say(
    family: str, load_family, tmp_path: Path
) -> None:
    base = load_family(family)
    for kind in (TaskKind.TAGGING, TaskKind.SPAN, TaskKind.CLASSIFICATION):
        task = first_task(kind)
        model = base.model([task], encoder=None, seed=0).eval()
        whole: Any = whole_model(model, task).eval()
        if kind in SAME_HEAD and whole is not model.encoder:
            batch = a_batch(
                format_of_task(task).encode(
                    rows_of(task), task, tokenizer=base.tokenizer, max_length=64
                ),
                task,
                base.tokenizer,
            )
            inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            if getattr(base.config, "type_vocab_size", 0) > 1:
                inputs["token_type_ids"] = batch.token_type_ids
            with torch.inference_mode():
                found, expected = whole(**inputs), model.heads[task.name](model(batch)[0])
            if kind is TaskKind.TAGGING:
                torch.testing.assert_close(found.logits, expected)
            else:
                torch.testing.assert_close(found.start_logits, expected[..., 0])
                torch.testing.assert_close(found.end_logits, expected[..., 1])
        whole.save_pretrained(tmp_path / kind)
        base.tokenizer.save_pretrained(tmp_path / kind)
        assert BaseEncoder.load(str(tmp_path / kind)).weights_digest == base.weights_digest


def inputs_of(batch: Batch, config: Any) -> dict[str, torch.Tensor]:
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids
    return inputs


@pytest.mark.parametrize("family", WORKING)
def test_heads_on_the_first_token_are_those_of_transformers(
    family: str, load_family, tmp_path: Path
) -> None:
    base = load_family(family)
    for kind in (TaskKind.CLASSIFICATION, TaskKind.CHOICE):
        task = first_task(kind)
        model = base.model([task], encoder=None, seed=0, pooling=Pooling.FIRST)
        form, head = format_of_task(task), model.heads[task.name]
        features = form.encode(rows_of(task), task, tokenizer=base.tokenizer, max_length=64)
        batch = a_batch(features, task, base.tokenizer)
        form.loss(head, model.train()(batch)[0], batch).backward()
        unread = [name for name, weight in head.named_parameters() if weight.grad is None]
        assert all("pooler" in name for name in unread)
        assert bool(unread) == (family == "big_bird" and kind is TaskKind.CLASSIFICATION)
        whole: Any = whole_model(model.eval(), task)
        names = {TaskKind.CLASSIFICATION: "ForSequenceClassification"}
        end = names.get(kind, "ForMultipleChoice")
        if family in NO_CLASS:
            assert whole is model.encoder
            assert isinstance(head, PooledHead)
            assert head.pooling is Pooling.FIRST
            continue
        if family in NO_CHOICE:
            end = "ForSequenceClassification"
        assert type(whole).__name__.endswith(end)
        with torch.inference_mode():
            ours = torch.from_numpy(np.stack(form.predict(head, model(batch), batch)))
            by_row = end == "ForMultipleChoice"
            inputs = inputs_of(batch, base.config)
            if by_row:
                inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
            torch.testing.assert_close(whole(**inputs).logits, ours)
        whole.save_pretrained(tmp_path / kind)
        base.tokenizer.save_pretrained(tmp_path / kind)
        again = BaseEncoder.load(str(tmp_path / kind))
        assert again.weights_digest == state_digest(model.encoder.state_dict())


@pytest.mark.parametrize("family", WORKING)
def test_an_encoder_is_cut_to_a_layer(family: str, load_family) -> None:
    encoder = load_family(family).encoder
    cut: Any = cut_to_layer(encoder, 1)
    assert (cut is None) == (family in NORM_AT_THE_END)
    if cut is not None:
        assert cut.config.num_hidden_layers == 1
    assert cut_to_layer(encoder, 2) is not None


@pytest.mark.parametrize("family", WORKING)
def test_the_most_positions_can_be_read(family: str, load_family) -> None:
    base = load_family(family)
    num_positions = getattr(base.config, "max_position_embeddings", None)
    if num_positions is None:
        base.check_length(1000)  # relative positions have no end
        return
    limit = num_positions
    with pytest.raises(Refusal, match=r"set max_length = (\d+) or less") as refused:
        base.check_length(num_positions + 1)
    limit = int(re.findall(r"max_length = (\d+) or", str(refused.value))[0])
    ids = torch.full((1, limit), 7)
    batch = Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), labels=ids)
    with torch.inference_mode():
        assert hidden_states(base.encoder, batch)[0].shape == (1, limit, 32)


@pytest.mark.parametrize("family", REFUSED)
def test_other_families_are_refused_at_load(family: str, load_family) -> None:
    with pytest.raises(Refusal, match=re.escape(REFUSED[family][1])) as refused:
        load_family(family)
    assert "\n" not in str(refused.value)


def test_bigbird_reads_short_and_long_texts_alike(load_family) -> None:
    """Of itself it leaves sparse attention for good at the first short batch."""
    base = load_family("big_bird")
    assert base.config.attention_type == "original_full"
    assert base.settings["attention_type"] == "original_full"


@pytest.mark.parametrize("name", ["working", "refused"])
def test_the_docs_list_the_families_that_are_tried(name: str) -> None:
    expected = {"working": WORKING, "refused": REFUSED}[name]
    sections = DOCS.read_text().split("\n## ")
    (section,) = [text for text in sections if text.lower().startswith(f"families that are {name}")]
    listed = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    assert listed == sorted(expected)


def test_the_docs_say_which_families_lack_a_class() -> None:
    (section,) = [text for text in re.split("\n##+ ", DOCS.read_text()) if "lacks" in text]
    lines = re.findall(r"^\| a class [^|]*\| ([^|]*) \|", section, flags=re.MULTILINE)
    assert [set(re.findall(r"`([^`]+)`", line)) for line in lines] == [NO_CHOICE, NO_CLASS]
