"""What examples/ shows is run: the study on rows of one's own, and the notebook."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_rows_of_one_s_own_are_there_and_fit(cli: Callable[..., Any]) -> None:
    result = cli("data", "check", EXAMPLES / "own-data/tickets.toml", "--json")
    assert result.code == 0
    counts: Counter[tuple[str, str]] = Counter()
    for part in json.loads(result.out)["found"]:
        if part["task"] == "tickets":
            counts[part["split"], part["language"]] += part["num_rows"]
    assert counts.pop(("train", "en")) == 64
    assert counts == {
        (split, code): 24 for split in ("validation", "test") for code in ("de", "en", "es", "fr")
    }


@pytest.mark.slow
@pytest.mark.ray
def test_the_study_on_them_runs_to_its_report(
    tmp_path: Path, small_base: Path, command: Callable[..., list[str]]
) -> None:
    """On a base of seconds in place of the embedded one, and shorter; else as the example is."""
    folder = shutil.copytree(EXAMPLES / "own-data", tmp_path / "own-data")
    study, text = folder / "tickets.toml", (EXAMPLES / "own-data/tickets.toml").read_text()
    for given, cut in {
        '"pocket"': json.dumps(str(small_base)),
        "num_steps = 60": "num_steps = 10",
        "num_steps = 30": "num_steps = 10",
        "num_trials = 6": "num_trials = 3",
    }.items():
        assert given in text
        text = text.replace(given, cut)
    study.write_text(text)
    home = tmp_path / "home"
    for arguments in (("run", study), ("report", "tickets", "--json")):
        done = subprocess.run(
            command(*arguments, "--home", home), capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["scored"] * 3
    assert set(found["trials"][0]["scores"]["tickets"]) == {"de", "en", "es", "fr"}


@pytest.mark.slow
def test_the_notebook_reads_a_finished_record(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(EXAMPLES / "read_record.ipynb", as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert 'STUDY = "pocket"' in first.source
    first.source = first.source.replace('"pocket"', f'"{finished.settings.study.name}"')
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(finished.copy(tmp_path / "home")))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    shown = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert shown.count("text/html") == 3  # data frames: trials, scores, gains; no retrain was run
    assert shown.count("image/png") == 1
