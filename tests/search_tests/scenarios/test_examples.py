"""What examples/ shows is run: the study on rows of one's own, and the notebook."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_rows_of_one_s_own_are_there_and_fit(cli: Callable[..., Any]) -> None:
    result = cli("data", "check", EXAMPLES / "own-data/tickets.toml", "--json")
    assert result.code == 0
    counts: Counter[tuple[str, str]] = Counter()
    for part in json.loads(result.out)["found"]:
        if part["task"] == "pawsx":
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
    """On a base of seconds in place of the embedded one; all else is as the example has it."""
    folder = shutil.copytree(EXAMPLES / "own-data", tmp_path / "own-data")
    study = folder / "tickets.toml"
    study.write_text(study.read_text().replace('"pocket"', json.dumps(str(small_base))))
    home = tmp_path / "home"
    for arguments in (("run", study), ("report", "tickets", "--json")):
        done = subprocess.run(
            command(*arguments, "--home", home), capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["scored"] * 6
    assert set(found["trials"][0]["scores"]["pawsx"]) == {"de", "en", "es", "fr"}
