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
from tests.search_tests.scenarios.test_cluster import Cluster, cluster, wait_until
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


def trials(home: Path) -> list[Any]:
    try:
        return outcome(record_of(home))
    except Exception:
        return []


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
