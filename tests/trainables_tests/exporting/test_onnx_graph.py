"""The graph in ONNX computes what the model computes, whatever its family and its task's kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from spaces.phases import Pooling
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import BaseEncoder, TransferModel
from trainables.exporting import onnx_graph
from trainables.exporting.onnx_graph import (
    OUTPUTS,
    Graph,
    Runner,
    check_installed,
    input_names,
    quantize,
    write_graph,
)
from trainables.formats.base import Batch
from trainables.formats.kinds import format_of_task

FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {"type_vocab_size": 2},
    "xlm-roberta": {"type_vocab_size": 1},
    "modernbert": {},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
    },
    "distilbert": {"hidden_dim": 32},
}
TASKS = {
    TaskKind.CLASSIFICATION: "rel",
    TaskKind.CHOICE: "fact",
    TaskKind.TAGGING: "pos",
    TaskKind.SPAN: "squad",
    TaskKind.RETRIEVAL: "retrieval",
}
SHAPES = ((1, 3), (3, 40), (2, 97))  # none is that of the example that is traced
FIRST = (TaskKind.CLASSIFICATION, TaskKind.CHOICE)  # kinds with a head of transformers' own
HEADS = [
    *((kind, Pooling.MEAN) for kind in TASKS),
    *((kind, Pooling.FIRST) for kind in FIRST),
]
CASES = [(family, *head) for family in FAMILIES for head in HEADS]
# Each family once, and each head but two: tracing takes seconds.
FEW = [(family, *head) for family, head in zip(FAMILIES, HEADS[:1:-1], strict=True)]


@pytest.fixture(scope="session")
def load_family(
    tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], BaseEncoder]:
    loaded: dict[str, BaseEncoder] = {}

    def load(family: str) -> BaseEncoder:
        if family not in loaded:
            folder = tmp_path_factory.mktemp(family)
            sizes = {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "max_position_embeddings": 130,
                "pad_token_id": tokenizer.pad_token_id,
            }
            config = AutoConfig.for_model(
                family, vocab_size=len(tokenizer), **{**sizes, **FAMILIES[family]}
            )
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            loaded[family] = BaseEncoder.load(str(folder))
        return loaded[family]

    return load


def written(
    base: BaseEncoder, task: Task, path: Path, pooling: Pooling = Pooling.MEAN
) -> tuple[TransferModel, Graph]:
    tasks = [task.training_task] if task.trains else []
    model = base.model(tasks, encoder=None, seed=0, pooling=pooling).eval()
    layer = None if task.trains else 1
    graph = Graph(model, task, layer=layer)
    write_graph(path, graph)
    return model, graph


def a_batch(sequences: int, tokens: int) -> Batch:
    generator = torch.Generator().manual_seed(tokens)
    ids = torch.randint(5, 300, (sequences, tokens), generator=generator)
    mask = torch.ones_like(ids)
    if sequences > 1:
        mask[0, tokens // 2 :] = 0
    segments = torch.zeros_like(ids)
    segments[:, tokens // 3 :] = 1
    return Batch(ids.masked_fill(mask == 0, 1), mask, segments, labels=ids)


@pytest.mark.parametrize(
    ("family", "kind", "pooling"),
    [
        pytest.param(*case, marks=[] if case in FEW else pytest.mark.slow, id="-".join(case))
        for case in CASES
    ],
)
def test_the_file_computes_what_the_model_does(
    family: str,
    kind: TaskKind,
    pooling: Pooling,
    load_family: Callable[[str], BaseEncoder],
    tmp_path: Path,
) -> None:
    base, task = load_family(family), SHIPPED.get(TASKS[kind])
    assert task.kind is kind
    model, graph = written(base, task, tmp_path / "model.onnx", pooling)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = input_names(model.encoder)
    assert tuple(one.name for one in session.get_inputs()) == names
    assert ("token_type_ids" in names) is (family == "bert")
    assert tuple(one.name for one in session.get_outputs()) == OUTPUTS[kind]
    form = format_of_task(task)
    runner = Runner(tmp_path / "model.onnx", model.encoder, kind)
    for shape in SHAPES:
        batch, is_all = a_batch(*shape), form.reads_all_layers
        inputs = {name: getattr(batch, name) for name in names}
        with torch.inference_mode():
            for expected, found in zip(graph(**inputs), runner.outputs(**inputs), strict=True):
                is_read = batch.attention_mask.bool() if expected.shape[:2] == shape else ...
                torch.testing.assert_close(expected[is_read], found[is_read], atol=1e-5, rtol=1e-5)
            # And evaluation reads the file as it reads the model.
            said = []
            for one in (model, runner.as_model(task)):
                head = one.heads[task.training_task.name] if task.trains else None
                said.append(form.predict(head, one(batch, all_layers=is_all), batch))
        layer = slice(None) if task.trains else 1
        for expected, found in zip(*said, strict=True):
            np.testing.assert_allclose(expected[layer], found[layer], atol=1e-5)


@pytest.mark.parametrize("max_bytes", [onnx_graph.MAX_BYTES, 0])
def test_weights_of_8_bits_are_near(
    max_bytes: int,
    load_family: Callable[[str], BaseEncoder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the weights of a large encoder are in a file of their own."""
    monkeypatch.setattr(onnx_graph, "MAX_BYTES", max_bytes)
    base, task = load_family("xlm-roberta"), SHIPPED.get("rel")
    model, graph = written(base, task, tmp_path / "model.onnx")
    quantize(tmp_path / "model.onnx", tmp_path / "small.onnx")
    names = ["model.onnx", "small.onnx"]
    data = [] if max_bytes else ["model.onnx.data", "small.onnx.data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names + data)
    large, small = (
        sum(path.stat().st_size for path in tmp_path.glob(f"{name}*")) for name in names
    )
    assert small < large
    batch = a_batch(3, 40)
    inputs = {name: getattr(batch, name) for name in input_names(model.encoder)}
    with torch.inference_mode():
        (expected,) = graph(**inputs)
    (found,) = Runner(tmp_path / "small.onnx", model.encoder, task.kind).outputs(**inputs)
    assert 0 < float((expected - found).abs().max()) < 0.05


def test_what_cannot_be_traced_is_refused(load_family, tmp_path: Path) -> None:
    class Odd(torch.nn.Module):
        def forward(self, states: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return states if float(states.sum()) > 0 else -states

    task = SHIPPED.get("rel")
    model = load_family("bert").model([SHIPPED.get("rel")], encoder=None, seed=0)
    model.heads["rel"] = Odd()
    with pytest.raises(
        Refusal, match=r"\(bert\) cannot be written as ONNX: Could not .*"
    ) as caught:
        write_graph(tmp_path / "model.onnx", Graph(model, task, layer=None))
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("; leave --onnx out")
    assert len(str(caught.value)) < 400


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Refusal, match=r"pip install 'transfer-search\[onnx\]'"):
        check_installed()
