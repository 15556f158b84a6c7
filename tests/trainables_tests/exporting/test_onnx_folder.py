"""ONNX files in an exported folder: written after their answers were compared, else refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.model import TransferModel
from trainables.exporting import onnx_graph
from trainables.exporting.model_folder import ModelDescription, export_target
from trainables.exporting.onnx_folder import Comparison, OnnxReport, card_section, write_onnx
from trainables.exporting.onnx_graph import Graph
from trainables.exporting.predictor import load_predictor
from trainables.training.context import TrialContext
from trainables.training.evaluate import Scoring

LANGUAGES = ("de", "en")


def export(context: TrialContext, name: str, folder: Path, *, is_int8: bool = False) -> OnnxReport:
    """The folder of a fresh head, with ONNX."""
    task, reports = SHIPPED.get(name), list[OnnxReport]()
    scoring = Scoring(
        task=task,
        languages=LANGUAGES,
        split="validation",
        max_rows=20,
        max_length=64,
        retrieval_layer=None,
        selection="target_dev",
    )

    def add(draft: Path, model: TransferModel) -> None:
        reports.append(write_onnx(draft, model, task, context, scoring, is_int8=is_int8))

    about = ModelDescription(task=name, labels=task.labels, max_length=64, phase_key=None, plan={})
    export_target(folder, context, about, card="# a card\n", add=add)
    return reports[0]


@pytest.mark.parametrize("name", ["rel", "fact", "pos", "qakind", "retrieval"])
def test_a_model_of_each_kind(
    name: str, open_context: Callable[..., TrialContext], tmp_path: Path
) -> None:
    folder, context = tmp_path / "out", open_context()
    report = export(context, name, folder)
    assert report.int8 is None
    assert report.layer == (1 if name == "retrieval" else None)
    compared = report.model
    assert compared.num_rows == 20 * len(LANGUAGES)
    assert compared.num_different == 0
    assert 0 <= compared.max_difference < 1e-5 < compared.largest
    assert set(compared.scores) == set(LANGUAGES)
    assert all(whole == part for whole, part in compared.scores.values())
    stored = json.loads((folder / "onnx" / "report.json").read_text())
    assert stored["outputs"] == list(onnx_graph.OUTPUTS[SHIPPED.get(name).kind])
    assert stored["model"]["num_bytes"] == (folder / "onnx" / "model.onnx").stat().st_size
    card = (folder / "README.md").read_text()
    assert card.startswith("# a card\n")
    assert "`onnx/model.onnx` is the model with its head (opset 18): `input_ids`" in card
    assert "On 40 validation rows 40 predictions are equal" in card
    load_predictor(folder)  # the folder is otherwise as without ONNX


def test_what_8_bits_cost_is_measured_by_language(
    open_context: Callable[..., TrialContext], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    report = export(open_context(), "rel", folder, is_int8=True)
    small = report.int8
    assert small is not None
    assert small.num_bytes == (folder / "onnx" / "model_int8.onnx").stat().st_size
    assert small.num_bytes < report.model.num_bytes
    assert small.max_difference > report.model.max_difference
    card = (folder / "README.md").read_text()
    for code, (whole, part) in small.scores.items():
        assert whole == report.model.scores[code][0]
        row = f"| {code} | {100 * whole:.1f} | {100 * part:.1f} | {100 * (whole - part):+.1f} |"
        assert row in card
    onnxruntime.InferenceSession(folder / "onnx" / "model_int8.onnx")


def test_a_file_that_answers_otherwise_is_refused(
    open_context: Callable[..., TrialContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if an operator computed something else: the head is another one."""
    write = onnx_graph.write_graph

    def wrong(path: Path, graph: Graph) -> None:
        assert graph.head is not None
        kept = {name: value.clone() for name, value in graph.head.state_dict().items()}
        with torch.no_grad():
            for weight in graph.head.parameters():
                weight.mul_(-1).add_(1)
        write(path, graph)
        graph.head.load_state_dict(kept)

    monkeypatch.setattr(onnx_graph, "write_graph", wrong)
    with pytest.raises(Refusal, match=r"gives other answers than the model: .* leave --onnx out"):
        export(open_context(), "rel", tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_only_rounding_passes() -> None:
    same = Comparison(
        file="model.onnx",
        num_bytes=1,
        max_difference=1e-6,
        largest=4.0,
        num_rows=2000,
        num_different=0,
        scores={"de": (0.5, 0.5)},
    )
    assert same.is_same
    assert replace(same, max_difference=3e-3).is_same
    assert not replace(same, max_difference=5e-3).is_same
    assert not replace(same, max_difference=float("nan")).is_same
    assert replace(same, num_different=2).is_same  # two answers that are equally good
    assert not replace(same, num_different=3).is_same
    assert not replace(same, num_rows=40, num_different=1).is_same


def test_the_card_says_what_was_measured() -> None:
    model = Comparison(
        file="model.onnx",
        num_bytes=2_000_000,
        max_difference=2e-6,
        largest=4.0,
        num_rows=100,
        num_different=0,
        scores={"de": (0.5, 0.5)},
    )
    small = replace(
        model,
        file="model_int8.onnx",
        num_bytes=600_000,
        num_different=3,
        scores={"de": (0.5, 0.48), "en": (0.7, 0.7)},
    )
    report = OnnxReport(
        task="rel",
        metric="accuracy",
        opset=18,
        inputs=("input_ids", "attention_mask"),
        outputs=("logits",),
        max_length=64,
        layer=None,
        model=model,
        int8=small,
    )
    text = card_section(report)
    assert "`input_ids`, `attention_mask` to `logits`" in text
    assert "0.6 MB, the other 2.0 MB. 3 of 100 predictions differ. accuracy on" in text
    assert "| de | 50.0 | 48.0 | +2.0 |" in text
    assert "| mean | 60.0 | 59.0 | +1.0 |" in text
    assert "8 bits" not in card_section(replace(report, int8=None))
