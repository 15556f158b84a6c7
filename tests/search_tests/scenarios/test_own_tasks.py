"""Tasks that a study file describes, from the search to the model: by a folder of rows, and by a
data set of a hub that no entry of the program names; here, on a cluster, and for Kubernetes."""

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from spaces.study_file.study import StudySettings
from tests.hub_server import DATASETS, Repo, serving
from tests.search_tests.scenarios.test_cluster import Cluster, cluster
from tests.search_tests.scenarios.test_hub_search import program

__all__ = ["cluster"]  # a fixture

LABELS = ("billing", "bug", "other")
COMMIT = "d" * 40
STUDY = """
include = ["tasks.toml"]

[study]
name = "own"
encoder = "ENCODER"
seed = 1
[space]
intermediate = ["none", "type"]
intermediate_learning_rate = [1e-3]
target_learning_rate = [1e-3]
targets = ["topics"]
[training.intermediate]
num_steps = 4
batch_size = 4
max_length = 32
[training.target]
num_steps = 4
batch_size = 4
max_length = 32
[resources]
max_concurrent_trials = 1
[budget]
num_trials = 2
"""
TASKS = """
[tasks.type]                     # a method of torch's modules has this name
kind = "tagging"
languages = ["en"]
labels = ["N", "V"]
rows = "rows/type"

[tasks.topics]
kind = "classification"
languages = ["en", "sv", "cs"]
labels = ["billing", "bug", "other"]
columns = { sentence1 = "text", label = "category" }
label_names = { "bills/money" = "billing" }
PLACE
"""
BY_FOLDER = 'rows = "rows/topics"'
BY_NAME = f"""dataset = "our/topics"
revision = "{COMMIT}"
config = {{ en = "eng_Latn", sv = "swe_Latn", cs = "ces_Latn" }}
where = {{ checked = true }}
"""


def topics(language: str, num_rows: int) -> list[dict[str, Any]]:
    theirs = ("bills/money", *LABELS[1:])
    return [
        {"text": f"{language} {n} {LABELS[n % 3]}", "category": theirs[n % 3], "checked": True}
        for n in range(num_rows)
    ]


def write_rows(folder: Path) -> None:
    cells = [
        ("topics", code, split) for code in ("en", "sv", "cs") for split in ("validation", "test")
    ]
    for task, language, split in [*cells, ("topics", "en", "train")]:
        path = folder / "rows" / task / language / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(map(json.dumps, topics(language, 24))))
    path = folder / "rows" / "type" / "en" / "train.conll"
    path.parent.mkdir(parents=True)
    path.write_text("Cats N\nsleep V\n\n" * 12)


def write_study(folder: Path, encoder: Path, place: str, **changes: str) -> Path:
    text = STUDY.replace("ENCODER", str(encoder))
    for given, other in changes.items():
        text = text.replace(f'"{given}"', f'"{other}"')
    (folder / "own.toml").write_text(text)
    (folder / "tasks.toml").write_text(TASKS.replace("PLACE", place))
    return folder / "own.toml"


def record_of(home: Path, study: str = "own") -> StudyRecord:
    return read_study(ExperimentAddress(f"sqlite:///{home / 'mlflow.db'}").for_study(study))


def outcome(record: StudyRecord) -> list[Any]:
    return [(row.state.value, dict(row.params), row.objective) for row in record.rows]


@pytest.fixture
def study(tmp_path: Path, small_base: Path) -> Path:
    write_rows(tmp_path)
    return write_study(tmp_path, small_base, BY_FOLDER)


def done(*arguments: object, folder: Path, **environment: str) -> str:
    ended = program(*arguments, folder=folder, **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.ray
def test_from_a_folder_of_rows_to_an_answer(study: Path, tmp_path: Path) -> None:
    home, bundle = tmp_path / "home", tmp_path / "bundle"
    done("run", study, "--home", home, folder=tmp_path)
    record = record_of(home)
    assert [state for state, _, _ in outcome(record)] == ["scored", "scored"]
    assert set(record.rows[0].scores.targets[0].by_language) == {"en", "sv", "cs"}  # type: ignore[union-attr]
    done("data", "bundle", study, bundle, "--no-encoder", folder=tmp_path)
    for path in (tmp_path / "rows", study, tmp_path / "tasks.toml"):  # another machine
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    there = ("--home", home)
    found = json.loads(done("report", "own", "--json", *there, folder=tmp_path))
    assert found["study"] == "own"
    rows = ("--data-root", bundle, *there)
    done("retrain", "own", "--seeds", 1, *rows, folder=tmp_path)
    model = tmp_path / "model"
    done("export", "own", model, "--target", "topics", *rows, folder=tmp_path)
    about = json.loads((model / "transfer_search.json").read_text())
    assert (about["task"], about["kind"], about["head"]) == ("topics", "classification", "topics")
    (tmp_path / "asked.jsonl").write_text('{"id": "1", "text_a": "cs 5 bug"}\n')
    answer = json.loads(done("predict", model, tmp_path / "asked.jsonl", folder=tmp_path))
    assert answer["label"] in LABELS
    assert set(answer["probabilities"]) == set(LABELS)


@pytest.mark.slow
@pytest.mark.ray
def test_a_data_set_of_a_hub_that_no_entry_names(
    study: Path, small_base: Path, tmp_path: Path, make_root: Callable[..., Path]
) -> None:
    by_folder, by_name = tmp_path / "home", tmp_path / "other"
    done("run", study, "--home", by_folder, folder=tmp_path)
    for language, config in (("en", "eng_Latn"), ("sv", "swe_Latn"), ("cs", "ces_Latn")):
        unchecked = {"text": "?", "category": "?", "checked": False}
        rows = [unchecked, *topics(language, 24)]
        splits = {"validation": rows, "test": rows, **({"train": rows} if language == "en" else {})}
        root = make_root("our/topics", config, splits)
    named = tmp_path / "named"
    (named / "rows").mkdir(parents=True)
    shutil.copytree(tmp_path / "rows/type", named / "rows/type")
    file = write_study(named, small_base, BY_NAME)
    with serving({(DATASETS, "our/topics"): Repo(root / "our/topics", COMMIT)}) as server:
        online = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": server.address}
        done("run", file, "--home", by_name, folder=named, HF_HUB_OFFLINE="0", **online)
    record = record_of(by_name)
    assert outcome(record)[0][0] == "scored"
    assert record.rows[0].scores.targets[0].protocol.revision == COMMIT  # type: ignore[union-attr]
    texts = json.dumps(record.settings.content["tasks"])
    assert '"ces_Latn"' in texts
    assert '"bills/money"' in texts


@pytest.mark.slow
@pytest.mark.ray
def test_the_study_as_a_job(
    study: Path, cluster: Cluster, cli: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    there = ["--address", cluster.url, "--token-file", cluster.token_file]
    sent = cli("submit", study, "--home", home, *there)
    assert sent.code == 0, sent.err
    (tmp_path / "tasks.toml").unlink()  # its tables went along

    followed = cli("logs", "own", "--follow", *there)
    assert followed.code == 0, followed.out + followed.err
    assert [state for state, _, _ in outcome(record_of(home))] == ["scored", "scored"]


def test_the_study_for_kubernetes(study: Path, cli: Callable[..., Any]) -> None:
    refused = cli("k8s", "render", study)
    assert refused.code == 2
    assert "which no pod has" in refused.err
    text = study.read_text()
    study.write_text(
        text.replace('encoder = "', 'data_root = "/work/rows"\nencoder = "pocket" # "')
    )
    shown = cli("k8s", "render", study)
    assert shown.code == 0, shown.err
    objects = list(yaml.safe_load_all(shown.out))
    maps = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    (content,) = [data for data in maps if "study.toml" in data]
    tables = tomllib.loads(content["study.toml"])
    assert "include" not in tables
    assert StudySettings.parse(tables).catalogue == StudySettings.load(study).catalogue
