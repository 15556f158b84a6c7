"""Folders with faults, and folders that bring code."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
    SqueezeBertConfig,
    SqueezeBertForMaskedLM,
)

from spaces.refusal import Refusal
from trainables.encoders.loading import read_encoder
from trainables.encoders.model import BaseEncoder

ROOT = Path(__file__).parents[3]
PACKAGES = ("search", "trainables", "spaces", "scripts", "benchmarks", "examples")
LOADERS = ("from_pretrained", "from_config")


@pytest.fixture
def folder(tmp_path: Path, encoder_folder: Path) -> Path:
    return shutil.copytree(encoder_folder, tmp_path / "encoder")


def set_keys(file: Path, **keys: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def reason(folder: Path) -> str | None:
    """Why a folder is refused, in one line; None where it is read."""
    try:
        read_encoder(str(folder))
    except Refusal as error:
        message = str(error)
    else:
        return None
    assert message.startswith(f"encoder {str(folder)!r} ")
    assert "\n" not in message
    assert len(message) < 800
    return message


def refused(folder: Path) -> str:
    message = reason(folder)
    assert message is not None
    return message


SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
NO_SIZES = ("big", -1, 0, 2.5, None, [], True, float("nan"), 10**15, {"a": 1})


@pytest.mark.parametrize("value", NO_SIZES, ids=repr)
@pytest.mark.parametrize("key", SIZES)
def test_a_size_that_is_none_is_refused(folder: Path, key: str, value: object) -> None:
    set_keys(folder / "config.json", **{key: value})
    refused(folder)


OTHERS = {
    "max_position_embeddings": [10**9, "many"],
    "type_vocab_size": [7, "two"],
    "pad_token_id": ["first", 10**9, 2.5],
    "layer_norm_eps": ["small", None],
    "hidden_act": ["nosuch", 3],
    "hidden_dropout_prob": [7, "much"],
    "is_decoder": [True, "yes"],
    "is_encoder_decoder": [True, "yes"],
    "model_type": ["nosuch", 3, None, []],
    "id2label": ["yes", 3],
    "quantization_config": ["bits", 4],
    "_attn_implementation": [3, "kernels-community/flash-attn", "nosuch"],
    "auto_map": [3, True],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in OTHERS.items() for value in values]
)
def test_a_wrong_value_is_refused(folder: Path, key: str, value: object) -> None:
    set_keys(folder / "config.json", **{key: value})
    refused(folder)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"', "[" * 10_000, "\x00", ""])
def test_a_config_that_is_no_table_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    refused(folder)


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"model": 3}', "\x00"])
def test_a_broken_tokenizer_is_refused_or_read(folder: Path, file: str, content: str) -> None:
    """The second file adds to the first one, so that some of what it may hold does no harm."""
    (folder / file).write_text(content)
    assert reason(folder) is not None or file == "tokenizer_config.json"


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    """transformers makes an empty one, by which every word is <unk>."""
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "has no tokenizer" in refused(folder)


def test_weights_of_other_shapes_are_refused(folder: Path) -> None:
    set_keys(folder / "config.json", intermediate_size=128)
    assert "its weights have other shapes than its config.json says" in refused(folder)


def test_weights_that_are_no_numbers_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["encoder.layer.0.output.dense.bias"][3] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert refused(folder).endswith("not a number: encoder.layer.0.output.dense.bias")


def test_weights_in_other_files_are_refused_by_name(folder: Path) -> None:
    """Nothing is read of them: these would not even be files of their format."""
    (folder / "model.safetensors").rename(folder / "model.Q8_0.gguf")
    assert "has its weights as GGUF (model.Q8_0.gguf)" in refused(folder)
    (folder / "model.Q8_0.gguf").rename(folder / "pytorch_model.bin")
    assert "has its weights only in a pickled file (pytorch_model.bin)" in refused(folder)


def test_weights_of_a_decoder_are_refused(folder: Path) -> None:
    set_keys(folder / "config.json", is_decoder=True)
    assert "gives a token the same hidden states whatever follows it" in refused(folder)


def small_bert(tokenizer: PreTrainedTokenizerFast) -> BertConfig:
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )


def test_half_precision_and_prefixed_weights_are_read(tmp_path: Path, wordpiece) -> None:
    config = small_bert(wordpiece)
    BertForMaskedLM(config).half().save_pretrained(tmp_path)
    wordpiece.save_pretrained(tmp_path)
    encoder, _, _ = read_encoder(str(tmp_path))
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_a_pooler_is_given_beside_the_encoder(tmp_path: Path, wordpiece) -> None:
    config = small_bert(wordpiece)
    for name, has_one in (("with", True), ("without", False)):
        whole = BertModel(config, add_pooling_layer=has_one)
        whole.save_pretrained(tmp_path / name)
        wordpiece.save_pretrained(tmp_path / name)
        encoder, _, pooler = read_encoder(str(tmp_path / name))
        assert encoder.pooler is None
        assert set(pooler) == ({"dense.weight", "dense.bias"} if has_one else set())
        if has_one:
            assert torch.equal(pooler["dense.weight"], whole.pooler.dense.weight)


def test_a_pooler_that_cannot_be_left_out_is_not_drawn(tmp_path: Path, tokenizer) -> None:
    """Else a folder without one would have another digest in every process."""
    config = SqueezeBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        embedding_size=16,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=16,
    )
    SqueezeBertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state = {name: value for name, value in state.items() if "pooler" not in name}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    one, other = (BaseEncoder.load(str(tmp_path)) for _ in range(2))
    assert one.weights_digest == other.weights_digest
    assert not one.encoder.get_parameter("pooler.dense.weight").any()


CODE = """
from pathlib import Path

Path({marker!r}).write_text("ran")
raise SystemExit("ran")
"""
AUTO_MAPS = {
    "config.json": {
        "AutoConfig": "own_code.OwnConfig",
        "AutoModel": "own_code.OwnModel",
        "AutoModelForTextEncoding": "own_code.OwnModel",
        "AutoTokenizer": ["own_code.OwnTokenizer", "own_code.OwnTokenizer"],
    },
    "tokenizer_config.json": {"AutoTokenizer": ["own_code.OwnTokenizer", "own_code.OwnTokenizer"]},
}


@pytest.mark.parametrize("model_type", ["own", "xlm-roberta"])
@pytest.mark.parametrize("tokenizer_class", ["OwnTokenizer", "PreTrainedTokenizerFast"])
def test_code_of_an_encoder_is_never_run(
    folder: Path, monkeypatch, tmp_path: Path, model_type: str, tokenizer_class: str
) -> None:
    marker = tmp_path / "marker"
    (folder / "own_code.py").write_text(CODE.format(marker=str(marker)))
    set_keys(folder / "config.json", model_type=model_type, auto_map=AUTO_MAPS["config.json"])
    set_keys(
        folder / "tokenizer_config.json",
        tokenizer_class=tokenizer_class,
        auto_map=AUTO_MAPS["tokenizer_config.json"],
    )

    def ask(*_: object) -> str:
        raise AssertionError("the terminal was asked")

    monkeypatch.setattr("builtins.input", ask)
    found = reason(folder)
    assert not marker.exists()
    if model_type == "own":
        assert found is not None
        assert "such code is never run" in found
    else:
        assert found is None  # transformers has the family and its tokenizer itself


def test_every_call_says_that_no_code_is_run() -> None:
    """Where nothing is said, transformers asks on the terminal, and `yes |` answers."""
    calls = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr not in LOADERS:
                    continue
                said = {word.arg: word.value for word in node.keywords}
                calls.append(path.relative_to(ROOT))
                value = said.get("trust_remote_code")
                assert isinstance(value, ast.Constant), f"{path}:{node.lineno}"
                assert value.value is False, f"{path}:{node.lineno}"
    assert Path("trainables/encoders/loading.py") in calls
    assert len(calls) >= 4
