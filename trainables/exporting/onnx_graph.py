"""The graph of a target's model in ONNX: encoder and head in one file, and a model that runs it."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from spaces.refusal import Refusal, first_line
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.encoders.states import hidden_states
from trainables.formats.base import Batch
from trainables.formats.heads import masked_mean

OPSET = 18
PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the extra `onnx`
# Kind -> the names of the graph's outputs. S is sequences, L tokens, H the encoder's width.
OUTPUTS: Mapping[TaskKind, tuple[str, ...]] = MappingProxyType(
    {
        TaskKind.CLASSIFICATION: ("logits",),  # [S, labels]
        TaskKind.CHOICE: ("logits",),  # [S, 1], a sequence for each choice
        TaskKind.TAGGING: ("logits",),  # [S, L, labels]
        TaskKind.SPAN: ("start_logits", "end_logits"),  # [S, L] each
        TaskKind.RETRIEVAL: ("sentence_embedding",),  # [S, H]
    }
)
# A file of protocol buffers holds less than 2 GiB; larger weights are beside it.
MAX_BYTES = 1_900_000_000


def check_installed() -> None:
    """Raises Refusal where a package of the extra is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal(
            f"ONNX needs {' and '.join(missing)}, which is not installed here; install the extra: "
            "pip install 'transfer-search[onnx]'"
        )


class Graph(nn.Module):
    """What the file computes: token ids, mask and, where the encoder has them, segments to
    `OUTPUTS`.

    Args:
        layer: the layer of a sentence's vector; None for kinds with a head.
    """

    def __init__(self, model: TransferModel, task: Task, *, layer: int | None) -> None:
        super().__init__()
        self.encoder, self.kind, self.layer = model.encoder, task.kind, layer
        self.head = model.heads[task.training_task.name] if task.trains else None
        self.family = str(getattr(model.encoder.config, "model_type", "unknown"))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        segments = input_ids if token_type_ids is None else token_type_ids
        batch = Batch(input_ids, attention_mask, segments, labels=input_ids)
        hidden = hidden_states(self.encoder, batch, all_layers=self.layer is not None)
        if self.head is None:
            assert self.layer is not None
            return (masked_mean(hidden[self.layer], attention_mask),)
        if self.kind in (TaskKind.CLASSIFICATION, TaskKind.CHOICE):
            return (self.head(hidden[-1], attention_mask),)
        logits: Tensor = self.head(hidden[-1])
        return tuple(logits.unbind(dim=-1)) if self.kind is TaskKind.SPAN else (logits,)


def input_names(encoder: Any) -> tuple[str, ...]:
    """The inputs of the graph, each [sequences, tokens] of int64."""
    has_segments = getattr(encoder.config, "type_vocab_size", 0) > 1
    return ("input_ids", "attention_mask", *(["token_type_ids"] if has_segments else []))


def write_graph(path: Path, graph: Graph) -> None:
    """Write the graph with any number of sequences and tokens. Raises Refusal for an architecture
    that torch cannot trace."""
    names = input_names(graph.encoder)
    ids = torch.arange(18).view(2, 9) + 5
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    axes = {0: torch.export.Dim("sequences"), 1: torch.export.Dim("tokens")}
    graph = graph.eval().cpu()
    num_bytes = sum(weight.nbytes for weight in graph.parameters())
    try:
        with quiet_exporters(), torch.inference_mode():
            torch.onnx.export(
                graph,
                tuple(values[name] for name in names),
                path,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=names,
                output_names=OUTPUTS[graph.kind],
                dynamic_shapes=[axes for _ in names],
                external_data=num_bytes > MAX_BYTES,
            )
    except Exception as error:  # of whatever line of the architecture cannot be traced
        cause: BaseException = error
        while cause.__cause__ is not None:  # the others advise the authors of the architecture
            cause = cause.__cause__
        raise Refusal(
            f"this encoder ({graph.family}) cannot be written as ONNX: "
            f"{first_line(cause)}; leave --onnx out"
        ) from error


def quantize(source: Path, target: Path) -> None:
    """Write the graph with weights of 8 bits, and activations that are rounded while it runs.

    Weights keep 7 of the 8 bits (`reduce_range`): with 8, sums overflow on processors without VNNI,
    and the measured loss would hold for one kind of processor alone (ONNX Runtime's documentation
    of quantization).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporters():
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            use_external_data_format=source.with_name(f"{source.name}.data").exists(),
        )


class Runner(nn.Module):
    """A file on the CPU, as an encoder whose hidden states are the outputs of the head: evaluation
    reads them as it reads those of the model (`as_model`)."""

    def __init__(self, path: Path, encoder: Any, kind: TaskKind) -> None:
        super().__init__()
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.config, self.kind = encoder.config, kind

    def as_model(self, task: Task) -> TransferModel:
        """The file in the place of the encoder and the head."""
        return TransferModel(self, {task.training_task.name: _Through()} if task.trains else {})

    def outputs(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the file, as in `OUTPUTS`."""
        named = {name: value.numpy() for name, value in inputs.items()}
        return tuple(torch.from_numpy(output) for output in self.session.run(None, named))

    def forward(self, output_hidden_states: bool = False, **inputs: Tensor) -> SimpleNamespace:
        """The outputs as states: [S, L, labels], or [S, 1, ...] where a sequence has one."""
        found = self.outputs(**inputs)
        states = torch.stack(found, dim=-1) if self.kind is TaskKind.SPAN else found[0]
        states = states if states.dim() == 3 else states.unsqueeze(1)
        layers = (states,) * (self.config.num_hidden_layers + 1)
        return SimpleNamespace(last_hidden_state=states, hidden_states=layers)


class _Through(nn.Module):
    """A head that has nothing left to compute: the states are the logits. Heads of whole sequences
    are called with the mask."""

    def forward(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return states if attention_mask is None else states[:, 0]


@contextlib.contextmanager
def quiet_exporters() -> Iterator[None]:
    """Keep what torch and ONNX print on their way off the terminal."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export", "root")
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
