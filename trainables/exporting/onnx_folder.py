"""Adds a model in ONNX to an exported folder, after its answers were compared with the model's.

```
onnx/model.onnx        encoder and head (with model.onnx.data where weights take more than 1.9 GB)
onnx/model_int8.onnx   the same with weights of 8 bits, where it was asked for
onnx/report.json       `OnnxReport`: inputs, outputs, and how far the answers differ
```
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from spaces.refusal import Refusal
from spaces.study_file.sections import Precision
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.exporting import onnx_graph
from trainables.exporting.onnx_graph import Graph, Runner
from trainables.formats.base import collate
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import SentenceFormat
from trainables.training.context import TrialContext
from trainables.training.evaluate import Predictions, Scoring, predictions_of, score
from trainables.training.workers import Workers

FOLDER, MODEL, INT8, REPORT = "onnx", "model.onnx", "model_int8.onnx", "report.json"
MAX_ROWS = 1000  # of each language, whose predictions are compared
COMPARED = 32  # sequences of each language, whose logits are compared
TOLERANCE = 1e-3  # of the largest logit: rounding stays far below
BY_TOKEN = (TaskKind.TAGGING, TaskKind.SPAN)  # kinds with an output for each token
MAX_SHARE = 1e-3  # of predictions that may differ, where two answers are equally good


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How far the answers of a file differ from the model's, on validation rows.

    Attributes:
        max_difference: of logits, or of a sentence's vector.
        largest: the largest absolute value of the model's own.
        num_rows: rows whose predictions were compared.
        num_different: how many of them differ.
        scores: language -> the main score of the model, and that of the file, in [0, 1].
    """

    file: str
    num_bytes: int
    max_difference: float
    largest: float
    num_rows: int
    num_different: int
    scores: Mapping[str, tuple[float, float]]

    @property
    def is_same(self) -> bool:
        """Whether the differences are those of rounding."""
        is_near = self.max_difference <= TOLERANCE * max(self.largest, 1.0)
        return is_near and self.num_different <= MAX_SHARE * self.num_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxReport:
    """What the folder's ONNX files are, and how they were checked. `layer` is that of a sentence's
    vector; `int8` is None where it was not asked for."""

    task: str
    metric: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    max_length: int
    layer: int | None
    model: Comparison
    int8: Comparison | None


def write_onnx(
    folder: Path,
    model: TransferModel,
    task: Task,
    context: TrialContext,
    scoring: Scoring,
    *,
    is_int8: bool,
) -> OnnxReport:
    """Write the ONNX files of a model into its folder, and a section into its card.

    Args:
        folder: what `export_target` wrote.
        scoring: the rows to compare on, and how they are scored.
        is_int8: write the file of 8 bits too.

    Raises:
        Refusal: the architecture cannot be traced, or the file gives other answers.
    """
    check = _Check.of(model, task, context, scoring)
    place = folder / FOLDER
    place.mkdir()
    onnx_graph.write_graph(place / MODEL, check.graph)
    compared = check.compare(place / MODEL)
    if not compared.is_same:
        raise Refusal(
            f"the ONNX file of {task.name!r} gives other answers than the model: "
            f"{compared.num_different} of {compared.num_rows} predictions differ, and numbers by "
            f"up to {compared.max_difference:.3g} (the largest is {compared.largest:.3g}); "
            "leave --onnx out"
        )
    small = None
    if is_int8:
        onnx_graph.quantize(place / MODEL, place / INT8)
        small = check.compare(place / INT8)
    report = OnnxReport(
        task=task.name,
        metric=task.metric,
        opset=onnx_graph.OPSET,
        inputs=onnx_graph.input_names(model.encoder),
        outputs=onnx_graph.OUTPUTS[task.kind],
        max_length=scoring.max_length,
        layer=check.graph.layer,
        model=compared,
        int8=small,
    )
    (place / REPORT).write_text(json.dumps(asdict(report), indent=1, sort_keys=True) + "\n")
    card = folder / "README.md"
    card.write_text(f"{card.read_text().rstrip()}\n\n{card_section(report)}")
    return report


def card_section(report: OnnxReport) -> str:
    """What the card says of the files."""
    read, written = (
        ", ".join(f"`{name}`" for name in names) for names in (report.inputs, report.outputs)
    )
    model, small = report.model, report.int8
    lines = [
        "## ONNX",
        "",
        f"`{FOLDER}/{model.file}` is the model with its head (opset {report.opset}): "
        f"{read} to {written}, for any number of sequences and tokens up to "
        f"{report.max_length}. On {model.num_rows} validation rows "
        f"{model.num_rows - model.num_different} predictions are equal to those of this folder's "
        f"weights; numbers differ by at most {model.max_difference:.2g}.",
        "",
    ]
    if small is None:
        return "\n".join(lines)
    return "\n".join(
        [
            *lines,
            f"`{FOLDER}/{small.file}` has weights of 8 bits: {small.num_bytes / 1e6:.1f} MB, the "
            f"other {model.num_bytes / 1e6:.1f} MB. {small.num_different} of {small.num_rows} "
            f"predictions differ. {report.metric} on the same validation rows:",
            "",
            "| language | model | 8 bits | loss |",
            "|---|---|---|---|",
            *(_row(code, *scores) for code, scores in small.scores.items()),
            _row("mean", *(fmean(column) for column in zip(*small.scores.values(), strict=True))),
            "",
        ]
    )


def _row(name: str, whole: float, part: float) -> str:
    return f"| {name} | {100 * whole:.1f} | {100 * part:.1f} | {100 * (whole - part):+.1f} |"


@dataclass(frozen=True, slots=True)
class _Check:
    """A model with its predictions for the rows on which its files are compared with it, on the
    CPU and in float32."""

    graph: Graph
    model: TransferModel
    task: Task
    context: TrialContext
    scoring: Scoring
    expected: Predictions

    @classmethod
    def of(
        cls, model: TransferModel, task: Task, context: TrialContext, scoring: Scoring
    ) -> "_Check":
        """Compute the predictions on at most MAX_ROWS rows of each language. Mining has all of the
        study's rows, or no sentence would have its partner."""
        workers = Workers.alone(torch.device("cpu")).computing_in(Precision.FP32)
        context, layer = replace(context, workers=workers), None
        model = model.to(workers.device).eval()
        if isinstance(scoring.format, SentenceFormat):
            layer = scoring.format.layer_of(context.base.num_layers)
        if not isinstance(scoring.format, MiningFormat):
            scoring = replace(scoring, max_rows=min(scoring.max_rows or MAX_ROWS, MAX_ROWS))
        expected = predictions_of(model, scoring, context)
        graph = Graph(model, task, layer=layer)
        return cls(graph, model, task, context, scoring, expected)

    def compare(self, path: Path) -> Comparison:
        """The comparison of a file with the model."""
        runner = Runner(path, self.model.encoder, self.task.kind)
        found = predictions_of(runner.as_model(self.task), self.scoring, self.context)
        pairs = [
            pair
            for code, predicted in self.expected.by_language.items()
            for pair in zip(predicted, found.by_language[code], strict=True)
        ]
        before, after = (self._scores(predicted) for predicted in (self.expected, found))
        difference, largest = self._differences(runner)
        data = path.with_name(f"{path.name}.data")
        return Comparison(
            file=path.name,
            num_bytes=sum(part.stat().st_size for part in (path, data) if part.exists()),
            max_difference=difference,
            largest=largest,
            num_rows=len(pairs),
            num_different=sum(self._bare(one) != self._bare(other) for one, other in pairs),
            scores={code: (before[code], after[code]) for code in before},
        )

    def _scores(self, predicted: Predictions) -> dict[str, float]:
        scored = score(predicted.by_language, self.scoring, self.context)
        return {code: values[self.task.metric] for code, values in scored.items()}

    def _bare(self, prediction: Any) -> Any:
        """What is compared of a prediction: of a mined pair the id without the margin, of retrieval
        the answer at the layer of the file."""
        if self.graph.layer is None or prediction is None:
            return prediction
        is_mined = isinstance(self.scoring.format, MiningFormat)
        return prediction[0 if is_mined else self.graph.layer]

    @torch.inference_mode()
    def _differences(self, runner: Runner) -> tuple[float, float]:
        """(the largest difference, the largest value) among the outputs for COMPARED sequences of
        each language."""
        pad_id, names = self.context.base.tokenizer.pad_token_id, onnx_graph.input_names(runner)
        difference = largest = 0.0
        for code in self.scoring.languages:
            features = self.context.data.features(
                self.scoring.task,
                code,
                self.scoring.split,
                max_rows=self.scoring.max_rows,
                max_length=self.scoring.max_length,
            )
            batch = collate(features, range(min(len(features), COMPARED)), pad_id=pad_id)
            inputs = {name: getattr(batch, name) for name in names}
            is_token = batch.attention_mask.bool()
            for own, other in zip(self.graph(**inputs), runner.outputs(**inputs), strict=True):
                if self.task.kind in BY_TOKEN:
                    own, other = own[is_token], other[is_token]
                difference = max(difference, float((own - other).abs().max()))
                largest = max(largest, float(own.abs().max()))
        return difference, largest
