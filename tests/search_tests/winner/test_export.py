"""export: one target of a searched trial as a folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from search.home import Home
from search.record.address import ExperimentAddress
from search.trials.ranking import ranked
from search.winner.export import export_trial
from spaces.refusal import Refusal
from trainables.exporting.predictor import load_predictor
from trainables.scoring.scores import Mark

pytestmark = pytest.mark.ray


def export(finished: Any, folder: Path, **names: Any) -> None:
    arguments = {"study": "tiny", "target": "rel", "trial": None, **names}
    address = ExperimentAddress(finished.uri).for_study(arguments.pop("study"))
    export_trial(address, folder, Home.of(finished.home), **arguments)


def test_the_best_trial_as_a_folder(finished: Any, tmp_path: Path) -> None:
    export(finished, tmp_path / "out")
    predictor = load_predictor(tmp_path / "out")
    (answer,) = predictor.predict([{"text_a": "uno", "text_b": "dos"}])
    assert answer in predictor.about.labels
    AutoModel.from_pretrained(tmp_path / "out")
    AutoTokenizer.from_pretrained(tmp_path / "out")
    best = ranked(finished.record.rows)[0]
    assert predictor.about.phase_key == best.phase_keys[-1]
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"trial {best.number} of study `tiny`" in card
    assert best.scores is not None
    for language, value in best.scores.targets[0].by_language.items():
        assert f"| {language} | {100 * value:.1f} |" in card
    for part in ("---\nlanguage:", "## Intended use", "| rel | Unicode-3.0 (CLDR) |", "## Use"):
        assert part in card


def test_a_target_that_collapsed_says_so(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for it gets it: the other targets of the trial may be all right."""
    row = ranked(finished.record.rows)[0]
    first, *rest = row.scores.targets
    fallen = replace(row.scores, targets=(replace(first, mark=Mark.COLLAPSED), *rest))
    record = replace(finished.record, rows=(replace(row, scores=fallen),))
    monkeypatch.setattr("search.winner.searched_study.read_study", lambda address: record)
    for task in (first.task, rest[0].task):
        export(finished, tmp_path / task, target=task)
        card = (tmp_path / task / "README.md").read_text()
        sentence = f"its training collapsed: trial {row.number} did not learn {first.task}"
        assert (sentence in card) is (task == first.task)


def test_in_onnx_with_what_8_bits_cost(finished: Any, tmp_path: Path) -> None:
    export(finished, tmp_path / "out", onnx=True, int8=True)
    report = json.loads((tmp_path / "out" / "onnx" / "report.json").read_text())
    assert report["model"]["num_different"] == 0
    best = ranked(finished.record.rows)[0]
    assert best.scores is not None
    recorded = best.scores.targets[0].by_language
    measured = {code: whole for code, (whole, _) in report["int8"]["scores"].items()}
    assert measured == pytest.approx(dict(recorded))  # on the rows that the search scored
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| language | model | 8 bits | loss |" in card
    assert load_predictor(tmp_path / "out").about.phase_key == best.phase_keys[-1]


def test_8_bits_without_onnx(finished: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"--int8 is about the file of --onnx; give both"):
        export(finished, tmp_path / "out", int8=True)


def test_a_folder_with_another_encoder_is_refused(
    finished: Any, tmp_path: Path, small_base: Path
) -> None:
    export(finished, tmp_path / "same", encoder=small_base)
    other = shutil.copytree(small_base, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file(
        {name: value + 1 for name, value in weights.items()},
        other / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(Refusal, match=r"is not that of study 'tiny': the digest of its weights is"):
        export(finished, tmp_path / "out", encoder=other)
    assert not (tmp_path / "out").exists()


def test_a_trial_by_number(finished: Any, tmp_path: Path) -> None:
    export(finished, tmp_path / "out", trial=1)
    about = load_predictor(tmp_path / "out").about
    assert about.phase_key == finished.record.rows[1].phase_keys[-1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"target": "rell"}, "unknown target of study 'tiny' 'rell'. Did you mean 'rel'"),
        ({"trial": 99}, "unknown scored trial of study 'tiny' '99'"),
        ({"study": "tinny"}, "Did you mean 'tiny'"),
    ],
)
def test_unknown_names(names: dict[str, Any], message: str, finished: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        export(finished, tmp_path / "out", **names)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty(finished: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    for folder in (tmp_path / "out", tmp_path / "out" / "mine"):
        with pytest.raises(Refusal, match="not an empty folder"):
            export(finished, folder)
    with pytest.raises(Refusal, match="cannot be written"):
        export(finished, tmp_path / "out" / "mine" / "below")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_phase_that_is_gone(finished: Any, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    key = ranked(finished.record.rows)[0].phase_keys[-1]
    (home / "phases" / key / "encoder.safetensors").write_bytes(b"cut")
    with pytest.raises(Refusal, match=f"phase {key} in the phase store is damaged"):
        export_trial(
            ExperimentAddress(finished.uri).for_study("tiny"),
            tmp_path / "out",
            Home.of(home),
            target="rel",
            trial=None,
        )
    assert not (tmp_path / "out").exists()
