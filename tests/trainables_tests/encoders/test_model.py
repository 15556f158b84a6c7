import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from spaces.phases import Pooling
from spaces.refusal import Refusal
from spaces.study_file.sections import Precision
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from spaces.tasks.task import TaskKind
from trainables.encoders.model import BaseEncoder, hidden_states, state_digest, text_digest
from trainables.formats.base import collate
from trainables.formats.kinds import format_of_kind
from trainables.training.key_facts import KeyFacts

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 70,
}
ENCODERS = {
    "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig, {"type_vocab_size": 1}, 68),
    "bert": (BertModel, BertConfig, {}, 70),
    "deberta-v2": (
        DebertaV2Model,
        DebertaV2Config,
        {
            "relative_attention": True,
            "position_buckets": 16,
            "pos_att_type": ["p2c", "c2p"],
            "type_vocab_size": 0,
        },
        70,
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_are_loaded_trained_and_read(
    name: str, tmp_path: Path, tokenizer, make_phase, make_features, train, task_of_kind
) -> None:
    model_class, config_class, options, num_positions = ENCODERS[name]
    torch.manual_seed(0)
    config = config_class(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SIZES, **options
    )
    model_class(config).save_pretrained(tmp_path)  # with a pooler, as published ones have
    tokenizer.save_pretrained(tmp_path)
    base = BaseEncoder.load(str(tmp_path))
    assert type(base.encoder) is model_class
    assert not [key for key in base.encoder.state_dict() if key.startswith("pooler")]
    assert base.num_layers == 2
    base.check_length(num_positions)
    with pytest.raises(Refusal, match=f"set max_length = {num_positions} or less"):
        base.check_length(num_positions + 1)

    has_pooler = name != "deberta-v2"  # its class draws one of its own
    assert bool(base.pooler) == has_pooler
    assert BaseEncoder.load(str(tmp_path)).head_digest == base.head_digest
    other = replace(base, pooler={"dense.weight": torch.ones(1)})
    assert other.head_digest != base.head_digest
    assert other.weights_digest == base.weights_digest
    first = base.model(
        [SHIPPED.get("rel")], encoder=None, seed=0, pooling=Pooling.FIRST
    ).heads.state_dict()
    kept = [name for name in first if name.endswith("pooler.dense.weight")]
    if name == "bert":
        assert torch.equal(first[kept[0]], base.pooler["dense.weight"])

    names = ["rel", "fact", task_of_kind(TaskKind.MLM)]
    features = make_features(*names)
    model = base.model([SHIPPED.get(name) for name in names], encoder=None, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model, progress = train(make_phase(*names, num_steps=4), features, model=model)
    assert progress.step == 4
    unchanged = [
        k for k, v in model.encoder.state_dict().items() if torch.equal(v, before[f"encoder.{k}"])
    ]
    assert not [key for key in unchanged if "position_ids" not in key and "embeddings" not in key]
    batch = collate(
        features[Source(SHIPPED.get("rel"), "en")], [0, 1], pad_id=tokenizer.pad_token_id
    )
    layers = model(batch, all_layers=True)
    assert len(layers) == 3
    assert layers[-1].shape == (*batch.input_ids.shape, 32)
    assert len(model(batch)) == 1


def test_a_loaded_encoder_is_what_was_saved(base, encoder_folder: Path) -> None:
    again = BaseEncoder.load(str(encoder_folder))
    assert again.weights_digest == base.weights_digest
    assert again.tokenizer_digest == base.tokenizer_digest
    assert all(value.dtype is torch.float32 for value in base.encoder.state_dict().values())


CHANGES = {
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.3,
    "num_attention_heads": 1,
    "hidden_act": "relu",
    "layer_norm_eps": 1e-5,
    "pad_token_id": 0,
}


def loaded(folder: Path, source: Path, **changes: Any) -> BaseEncoder:
    """The same weights beside a config.json with other values; None leaves a key out."""
    shutil.copytree(source, folder)
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return BaseEncoder.load(str(folder))


@pytest.mark.parametrize("name", CHANGES)
def test_another_config_is_another_encoder(
    name: str, base, encoder_folder: Path, tmp_path: Path, make_phase
) -> None:
    """Of equal weights: they do not tell how many heads read them."""
    other = loaded(tmp_path / "other", encoder_folder, **{name: CHANGES[name]})
    assert other.weights_digest == base.weights_digest
    assert other.settings == {**base.settings, name: CHANGES[name]}
    worlds = [KeyFacts.of(one, precision=Precision.FP32) for one in (base, other)]
    one, another = (world.key(make_phase("rel"), None) for world in worlds)
    assert one != another


def test_a_config_is_the_same_however_it_is_written(
    base, encoder_folder: Path, tmp_path: Path
) -> None:
    """Names and versions say nothing, and a default that is spelled out is one."""
    renamed = loaded(
        tmp_path / "renamed",
        encoder_folder,
        _name_or_path="elsewhere",
        transformers_version="4.0.0",
        architectures=["XLMRobertaForMaskedLM"],
        torch_dtype="float16",
        id2label={"0": "yes", "1": "no", "2": "perhaps"},
        label2id={"yes": 0, "no": 1, "perhaps": 2},
        use_cache=False,
    )
    assert renamed.settings == base.settings
    dropping = [
        loaded(tmp_path / f"{value}", encoder_folder, hidden_dropout_prob=value)
        for value in (0.1, None)  # XLM-R's own
    ]
    assert dropping[0].settings == dropping[1].settings != base.settings
    assert "hidden_dropout_prob" not in dropping[0].settings


def test_padding_changes_nothing(base, make_features) -> None:
    features = make_features("rel")[Source(SHIPPED.get("rel"), "en")]
    order = features.input_ids.lengths.argsort()
    short, long = int(order[0]), int(order[-1])
    pad_id = base.tokenizer.pad_token_id
    base.encoder.eval()
    alone = hidden_states(base.encoder, collate(features, [short], pad_id=pad_id))[0][0]
    padded = hidden_states(base.encoder, collate(features, [short, long], pad_id=pad_id))[0][0]
    torch.testing.assert_close(padded[: len(alone)], alone, rtol=0, atol=1e-5)


def test_a_head_is_drawn_from_seed_and_task_alone(base) -> None:
    def head(tasks: list[str], seed: int) -> torch.Tensor:
        torch.manual_seed(len(tasks))
        return (
            base.model([SHIPPED.get(name) for name in tasks], encoder=None, seed=seed)
            .heads["rel"]
            .dense.weight
        )

    assert torch.equal(head(["rel"], 1), head(["fact", "rel", "coh"], 1))
    assert not torch.equal(head(["rel"], 1), head(["rel"], 2))
    both = base.model([SHIPPED.get("rel"), SHIPPED.get("coh")], encoder=None, seed=1).heads
    assert not torch.equal(both["rel"].dense.weight, both["coh"].dense.weight)


def test_a_model_is_a_copy(base) -> None:
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    with torch.no_grad():
        next(model.encoder.parameters()).zero_()
    assert state_digest(base.encoder.state_dict()) == base.weights_digest
    other = base.model([], encoder=model.encoder.state_dict(), seed=0)
    assert state_digest(other.encoder.state_dict()) == state_digest(model.encoder.state_dict())
    assert len(other.heads) == 0


@pytest.mark.parametrize("task", SHIPPED, ids=str)
def test_every_task_has_the_head_of_its_kind(base, task) -> None:
    model = base.model([task], encoder=None, seed=0)
    head = format_of_kind(task.kind).build_head(task, base.encoder)
    shapes = {} if head is None else {k: v.shape for k, v in head.state_dict().items()}
    result = {k.split(".", 1)[1]: v.shape for k, v in model.heads.state_dict().items()}
    assert result == shapes


def test_digests_see_names_shapes_types_and_bytes() -> None:
    state = {"a": torch.zeros(2, 3), "b": torch.ones(())}
    others = [
        {"a": torch.zeros(2, 3), "c": torch.ones(())},
        {"a": torch.zeros(3, 2), "b": torch.ones(())},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": torch.ones(())},
        {"a": torch.zeros(2, 3), "b": torch.ones(()) + 1e-7},
    ]
    digests = {state_digest(s) for s in [state, *others]}
    assert len(digests) == 5
    assert state_digest(dict(reversed(state.items()))) == state_digest(state)


def test_the_tokenizers_digest_sees_its_rules(tokenizer, byte_level, wordpiece) -> None:
    result = {text_digest(each) for each in (tokenizer, byte_level, wordpiece)}
    assert len(result) == 3


@pytest.fixture
def broken(tmp_path: Path, encoder_folder: Path) -> Path:
    return shutil.copytree(encoder_folder, tmp_path / "encoder")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", None),
        ("config.json", "{"),
        ("config.json", "{}"),
        ("config.json", '{"model_type": "nosuch"}'),
        ("model.safetensors", None),
        ("model.safetensors", "junk" * 20),
        ("tokenizer.json", "{"),
        ("tokenizer.json", None),
    ],
)
def test_a_folder_that_is_no_encoder_is_refused(broken: Path, name: str, content) -> None:
    (broken / name).unlink() if content is None else (broken / name).write_text(content)
    with pytest.raises(Refusal, match="encoder") as refused:
        BaseEncoder.load(str(broken))
    assert "\n" not in str(refused.value)


def test_weights_of_another_shape_are_refused(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "hidden_size": 16}))
    with pytest.raises(Refusal, match="cannot be loaded"):
        BaseEncoder.load(str(broken))


def test_weights_that_are_missing_are_refused(broken: Path) -> None:
    """A folder of another architecture would else be filled up with random weights."""
    state = load_file(broken / "model.safetensors")
    state.pop("encoder.layer.1.output.dense.weight")
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match=r"has no weights .*encoder\.layer\.1\.output\.dense\.weight"):
        BaseEncoder.load(str(broken))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be loaded"):
        BaseEncoder.load(str(tmp_path / "nosuch"))


def test_a_tokenizer_of_another_encoder_is_refused(broken: Path, tokenizer) -> None:
    grown = PreTrainedTokenizerFast.from_pretrained(broken)
    grown.add_tokens(["<more>"])
    grown.save_pretrained(broken)
    with pytest.raises(Refusal, match="do not belong together"):
        BaseEncoder.load(str(broken))


def test_a_length_without_room_for_text_is_refused(base) -> None:
    base.check_length(6)
    with pytest.raises(Refusal, match="max_length 5 leaves no room for text: at least 6 tokens"):
        base.check_length(5)


# ---- memory


def tables_of(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {n: p for n, p in encoder.named_parameters() if "embeddings" in n and p.ndim == 2}


def test_a_model_that_trains_no_embeddings_shares_their_memory(base: BaseEncoder) -> None:
    before = state_digest(base.encoder.state_dict())
    model = base.model([SHIPPED.get("rel")], encoder=None, seed=0, trains_embeddings=False)
    own = base.model([SHIPPED.get("rel")], encoder=None, seed=0)
    shared, copied = tables_of(model.encoder), tables_of(own.encoder)
    assert shared
    for name, table in tables_of(base.encoder).items():
        assert shared[name].data_ptr() == table.data_ptr()
        assert copied[name].data_ptr() != table.data_ptr()
        assert shared[name] is not table
    for name, parameter in model.encoder.named_parameters():
        if name not in shared:
            assert parameter.data_ptr() != base.encoder.get_parameter(name).data_ptr()
    model.freeze(0)
    assert all(p.requires_grad for p in base.encoder.parameters()), "only the copy is frozen"
    assert state_digest(model.state_dict()) == state_digest(own.state_dict())
    assert state_digest(base.encoder.state_dict()) == before


def test_embeddings_that_were_trained_are_not_those_of_the_base(base: BaseEncoder) -> None:
    """One table of three is another one: that one is copied, and the base stays as it is."""
    before = state_digest(base.encoder.state_dict())
    state = {name: value.clone() for name, value in base.encoder.state_dict().items()}
    name = next(n for n in tables_of(base.encoder) if "word" in n)
    state[name] += 1
    model = base.model([SHIPPED.get("rel")], encoder=state, seed=0, trains_embeddings=False)
    assert state_digest(model.encoder.state_dict()) == state_digest(state)
    for other, table in tables_of(base.encoder).items():
        is_shared = tables_of(model.encoder)[other].data_ptr() == table.data_ptr()
        assert is_shared == (other != name)
    assert state_digest(base.encoder.state_dict()) == before


@pytest.mark.parametrize("name", ["type", "keys", "train", "pop", "half"])
def test_a_task_may_be_called_like_a_method(base, name: str) -> None:
    task = replace(SHIPPED.get("rel"), name=name)
    model = base.model([task], encoder=None, seed=0)
    assert list(model.heads.keys()) == [name]
    assert next(iter(model.heads.state_dict())).startswith(f"{name}.")
    again = base.model([task], encoder=None, seed=1)
    again.heads.load_state_dict(model.heads.state_dict())
    weights = [m.heads[name].dense.weight for m in (model, again)]
    assert torch.equal(*weights)
