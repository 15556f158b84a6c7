"""A whole search on real rows: from a data root, by hub name, and from a bundle; all the same."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search.record.address import ExperimentAddress
from search.record.reader import read_study
from search.report.forms import report_json
from spaces.tasks.hub_tasks import REVISIONS
from tests.hub_server import DATASETS, MODELS, Repo, serving

pytestmark = [pytest.mark.slow, pytest.mark.ray]

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
[resources]
max_concurrent_trials = 1
[budget]
num_trials = 2
"""


def program(
    *arguments: object, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The program as it is typed; without a hub, unless the environment says otherwise."""
    command = [sys.executable, "-m", "search.cli", *map(str, arguments)]
    ours = {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    ours["PYTHONPATH"] = str(Path(__file__).parents[3])
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **ours, **environment},
        capture_output=True,
        text=True,
    )


@dataclass(frozen=True)
class Searched:
    """The study after its search with a data root, whose rows the others must agree with."""

    home: Path
    file: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def by_root(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("by-root")
    file, home = folder / "real.toml", folder / "home"
    file.write_text(STUDY)
    done = program("run", file, "--data-root", mirror, "--home", home, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pretraining: 20/20" in done.stdout
    assert "tokenising: " in done.stdout
    return Searched(home, file, report(home))


def report(home: Path) -> dict[str, Any]:
    """What `report --json` says."""
    uri, experiment = f"sqlite:///{home / 'mlflow.db'}", "transfer-search"
    record = read_study(ExperimentAddress(uri, experiment).for_study("real"))
    found: dict[str, Any] = json.loads(json.dumps(report_json(record, force=False)))
    return found


def by_name(commit: str) -> str:
    """The study with an encoder of the hub, and with the heads of one that is made here."""
    mean = STUDY.replace("max_train_rows", 'pooling = "mean"\nmax_train_rows')
    before, _, rest = mean.partition("[pretraining]")
    named = f'encoder = "our/tiny"\nrevision = "{commit}"'
    return before.replace('encoder = "pretrained"', named) + rest[rest.index("[space]") :]


def outcome(found: dict[str, Any]) -> list[Any]:
    """Params, scores and states of all trials, and what makes them comparable."""
    trials = [(t["params"], t["scores"], t["state"]) for t in found["trials"]]
    protocols = {task: {**p, "revision": ""} for task, p in found["protocol"].items()}
    return [*trials, protocols]


def test_a_search_on_real_rows(by_root: Searched) -> None:
    found = by_root.found
    assert [trial["state"] for trial in found["trials"]] == ["scored", "scored"]
    scores = found["trials"][0]["scores"]
    assert scores.keys() == {"udpos", "pawsx", "xquad", "tatoeba"}
    assert scores["udpos"].keys() == {"en", "de", "ru"}
    assert scores["pawsx"].keys() == {"en", "de"}
    assert found["unscored_languages"]["udpos"] == ["th"]
    assert found["protocol"]["xquad"]["cut"] == "half of validation by paragraph"
    assert found["protocol"]["xquad"]["revision"] == ""
    assert any(cell["num_truncated"] for cell in found["languages"])


def test_the_same_by_hub_name(by_root: Searched, mirror: Path, tmp_path: Path) -> None:
    """A folder with the hub's names, in which the program is started."""
    for owner in mirror.iterdir():
        if owner.is_dir():
            (tmp_path / owner.name).symlink_to(owner)
    home = tmp_path / "home"
    # Its key is of what the text says: the base of the first search is found.
    shutil.copytree(by_root.home / "encoders", home / "encoders")
    done = program("run", by_root.file, "--home", home, folder=tmp_path)
    assert "pretraining" not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcome(report(home)) == outcome(by_root.found)


def test_the_same_fetched_from_the_hub_and_run_without_it(
    by_root: Searched, mirror: Path, tmp_path: Path
) -> None:
    """The encoder is one of the hub too: the one that the first search pretrained."""
    names = ("google/xtreme", "rajpurkar/squad", "tau/commonsense_qa")
    repos = {(DATASETS, name): Repo(mirror / name, REVISIONS[name]) for name in names}
    (encoder,) = (by_root.home / "encoders").iterdir()
    commit, file = "c" * 40, tmp_path / "real.toml"
    file.write_text(by_name(commit))
    cache, home = {"HF_HOME": str(tmp_path / "hf")}, tmp_path / "home"
    with serving({**repos, (MODELS, "our/tiny"): Repo(encoder, commit)}) as server:
        online = {**cache, "HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0"}
        fetched = program("data", "fetch", file, folder=tmp_path, **online)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert "fetching: " in fetched.stderr
    done = program("run", file, "--home", home, folder=tmp_path, **cache)
    assert done.returncode == 0, done.stdout + done.stderr
    found = report(home)
    revisions = {protocol["revision"] for protocol in found["protocol"].values()}
    assert revisions == {REVISIONS["google/xtreme"]}
    assert outcome(found) == outcome(by_root.found)


def test_the_same_from_a_bundle_alone(by_root: Searched, mirror: Path, tmp_path: Path) -> None:
    """The hub is asked once, for the encoder of the bundle; then one folder is all there is."""
    (encoder,) = (by_root.home / "encoders").iterdir()
    commit, file, bundle = "c" * 40, tmp_path / "real.toml", tmp_path / "bundle"
    file.write_text(by_name(commit))
    with serving({(MODELS, "our/tiny"): Repo(encoder, commit)}) as server:
        online = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": server.address}
        options = ("data", "bundle", file, bundle, "--data-root", mirror)
        made = program(*options, folder=tmp_path, **online, HF_HUB_OFFLINE="0")
    assert made.returncode == 0, made.stdout + made.stderr
    shutil.rmtree(tmp_path / "hf")
    home, nowhere = tmp_path / "home", {"HF_HOME": str(tmp_path / "none")}
    run = ("run", file, "--home", home)
    lost = program(*run, folder=tmp_path, **nowhere)
    assert lost.returncode == 2
    done = program(*run, "--data-root", bundle, folder=tmp_path, **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcome(report(home)) == outcome(by_root.found)
    assert not (tmp_path / "none" / "hub").exists()
    # What is asked of the record later needs the bundle alone too, wherever it lies.
    elsewhere = bundle.rename(tmp_path / "elsewhere")
    options = ("--data-root", elsewhere, "--home", home, "--split", "validation")
    scored = program("evaluate", "real", *options, folder=tmp_path, **nowhere)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    (elsewhere / "encoders/our/tiny/config.json").write_text("{}")
    damaged = program("evaluate", "real", *options, folder=tmp_path, **nowhere)
    assert damaged.returncode == 2
    assert "our/tiny/config.json differs from its sum in SHA256SUMS" in damaged.stderr


def test_a_bundle_has_the_test_rows_of_a_retrain(
    by_root: Searched, mirror: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    bundle = tmp_path / "bundle"
    made = cli("data", "bundle", by_root.file, bundle, "--data-root", mirror)
    assert made.code == 0, made.err
    options = ("--seeds", 1, "--trial", 1, "--data-root", bundle, "--home", by_root.home)
    done = cli("retrain", "real", *options)
    assert done.code == 0, done.out + done.err
    assert "registered real-udpos version 1" in done.out
