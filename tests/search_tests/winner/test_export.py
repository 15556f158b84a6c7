"""export: one target of a searched trial as a folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
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
