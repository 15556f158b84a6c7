"""The experiment of the paper in miniature: the study `mini-paper` on real rows, cut to minutes."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray]

OPTIONS = ["none", "csqa", "udpos@af", "all"]
LANGUAGES = ["de", "es", "ru", "zh", "id", "ar", "af"]


def cut(study: dict[str, Any]) -> dict[str, Any]:
    """Its targets, kinds of source and tables, with as little training as there can be."""
    study["pretraining"] |= {"max_vocabulary": 2000, "hidden_size": 32, "feed_forward_size": 64}
    study["pretraining"]["recipe"] |= {"num_steps": 20, "batch_size": 32, "max_batch_tokens": 1024}
    study["pretraining"]["languages"] = ["en", "de", "ru"]
    study["space"]["intermediate"] = OPTIONS
    study["space"]["mlm"]["languages"] = ["de", "es", "ru", "zh"]
    recipes = study["training"]
    for recipe in (recipes["intermediate"], recipes["target"], *recipes["targets"].values()):
        recipe.update(num_steps=8, batch_size=8, max_train_rows=100)
    study["evaluation"] |= {"max_rows": 20, "languages": LANGUAGES}
    return study


def test_the_grid_of_the_paper_runs_on_real_rows(
    tmp_path: Path, mirror: Path, write_tables: Callable[..., Path]
) -> None:
    """Baseline, a single task, a source that is not English, all at once; each without and with
    masking, and masking alone: 8 trials on 8 targets, and the table of gains of all of them."""
    shipped = (resources.files("spaces") / "studies" / "mini-paper.toml").read_text("utf-8")
    file = write_tables(tmp_path / "mini.toml", cut(tomllib.loads(shipped)))
    command = [sys.executable, "-m", "search.cli"]
    subprocess.run(
        [*command, "run", str(file), "--home", str(tmp_path / "home"), "--data-root", str(mirror)],
        check=True,
        capture_output=True,
        timeout=500,
    )
    report = subprocess.run(
        [*command, "report", str(file), "--home", str(tmp_path / "home"), "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(report.stdout)
    assert found["state"] == "finished"
    states = [trial["state"] for trial in found["trials"]]
    assert states == ["scored"] * 8
    targets = ["pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba", "xcopa"]
    assert list(found["gains"]["baseline"]) == targets
    rows = {row["intermediate"]: row for row in found["gains"]["rows"]}
    assert {"csqa", "udpos@af", "flores(4 languages)"} < set(rows)
    assert sum("flores(4 languages):" in name for name in rows) == 3
    assert len(rows) == 7
    for row in rows.values():
        assert list(row["gains"]) == targets
    assert any(gain for row in rows.values() for gain in row["gains"].values())
    assert found["phases"]["trained"] < found["phases"]["used"] + 1
    assert found["selection"]["rule"] == "target_dev"
