"""A study with tasks of its own, as Kubernetes gets it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from spaces.study_file.study import StudySettings

STUDY = """
include = ["tasks.toml"]

[study]
name = "own"
encoder = "pocket"
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
[budget]
num_trials = 2
"""
TASKS = """
[tasks.type]
kind = "tagging"
languages = ["en"]
labels = ["N", "V"]
rows = "rows/type"

[tasks.topics]
kind = "classification"
languages = ["en", "sv", "cs"]
labels = ["billing", "bug", "other"]
rows = "rows/topics"
columns = { sentence1 = "text", label = "category" }
label_names = { "bills/money" = "billing" }
"""


def test_the_study_for_kubernetes(cli: Callable[..., Any], tmp_path: Path) -> None:
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    (tmp_path / "tasks.toml").write_text(TASKS)
    refused = cli("k8s", "render", study)
    assert refused.code == 2
    assert "which no pod has" in refused.err
    study.write_text(STUDY.replace('encoder = "', 'data_root = "/work/rows"\nencoder = "'))
    shown = cli("k8s", "render", study)
    assert shown.code == 0, shown.err
    objects = list(yaml.safe_load_all(shown.out))
    maps = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    (content,) = [data for data in maps if "study.toml" in data]
    tables = tomllib.loads(content["study.toml"])
    assert "include" not in tables
    assert StudySettings.parse(tables).catalogue == StudySettings.load(study).catalogue
