"""A whole search on real rows: from a data root, by hub name, and from a bundle; all the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STUDY = """
[study]
name = "real"
encoder = "pretrained"
seed = 5
sampler = "random"
[pretraining]
text = "flores"
languages = ["en", "de", "ru"]
pair_share = 0.5
max_vocabulary = 2000
hidden_size = 32
num_layers = 2
num_heads = 2
feed_forward_size = 64
embeddings = "parallel"
learning_rate = 1e-3
[pretraining.recipe]
num_steps = 20
batch_size = 32
max_length = 96
max_batch_tokens = 1024
[space]
intermediate = ["none", "csqa"]
intermediate_learning_rate = [5e-4]
target_learning_rate = [5e-4]
targets = ["udpos", "pawsx", "xquad", "tatoeba"]
[training.intermediate]
num_steps = 10
batch_size = 8
max_length = 96
max_train_rows = 100
[training.target]
num_steps = 10
batch_size = 8
max_length = 96
max_train_rows = 100
[evaluation]
max_rows = 20
languages = ["de", "ru", "th"]
retrieval_layer = 1
retrieval_max_length = 64
[budget]
num_trials = 2
"""


def run(arguments: list[object], *, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "search.cli", *map(str, arguments), "--home", str(home)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def searched(folder: Path, file: Path, home: Path, *options: object) -> dict[str, Any]:
    done = run(["run", file, *options], folder=folder, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pretraining: 20/20" in done.stdout
    assert "tokenising: " in done.stdout
    report = run(["report", "real", "--json"], folder=folder, home=home)
    found: dict[str, Any] = json.loads(report.stdout)
    return found


def outcome(found: dict[str, Any]) -> list[Any]:
    """Scores and protocols of all trials, and the keys' parameters."""
    return [(t["params"], t["scores"], t["state"]) for t in found["trials"]] + [found["protocol"]]


@pytest.mark.slow
@pytest.mark.ray
def test_wherever_the_rows_come_from(mirror: Path, tmp_path: Path) -> None:
    file = tmp_path / "real.toml"
    file.write_text(STUDY)
    by_root = searched(tmp_path, file, tmp_path / "root-home", "--data-root", mirror)
    scores = by_root["trials"][0]["scores"]
    assert scores.keys() == {"udpos", "pawsx", "xquad", "tatoeba"}
    assert scores["udpos"].keys() == {"en", "de", "ru"}
    assert scores["pawsx"].keys() == {"en", "de"}
    assert by_root["unscored_languages"]["udpos"] == ["th"]
    assert by_root["protocol"]["xquad"]["cut"] == "half of validation by parallel id"
    assert any(cell["num_truncated"] for cell in by_root["languages"])

    # A folder with the hub's names, beside which the program is started.
    here = tmp_path / "here"
    here.mkdir()
    for owner in mirror.iterdir():
        if owner.is_dir():
            (here / owner.name).symlink_to(owner)
    by_name = searched(here, file, tmp_path / "name-home")
    assert outcome(by_name) == outcome(by_root)

    bundle = [sys.executable, "-m", "search.cli", "data", "bundle", str(file), "bundled"]
    subprocess.run([*bundle, "--data-root", str(mirror)], cwd=tmp_path, check=True)
    bundled = tmp_path / "bundled"
    by_bundle = searched(tmp_path, file, tmp_path / "bundle-home", "--data-root", bundled)
    assert outcome(by_bundle) == outcome(by_root)

    # The test split of the same bundle is there for retrain.
    options = ["retrain", "real", "--seeds", 1, "--trial", 1, "--data-root", bundled]
    retrained = run(options, folder=tmp_path, home=tmp_path / "bundle-home")
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    assert "registered real-udpos version 1" in retrained.stdout
