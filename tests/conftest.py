"""What tests of several packages share: one thread, a small base made once, a small study file."""

import json
import os
import shutil
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset
from filelock import FileLock

from spaces import redaction
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables.pretraining.pretrain import pretrain
from trainables.pretraining.recipe import tiny_base
from trainables.quiet import quiet_libraries


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    ours = ("TRANSFER_SEARCH_HOME", "TRANSFER_SEARCH_PHASE_STORE")
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", *ours):
        os.environ.pop(name, None)  # whatever the developer's shell has set
    torch.set_num_threads(1)
    quiet_libraries()


@pytest.fixture(autouse=True)
def _no_known_secrets() -> None:
    """A password that one test gives is a common word in the messages of another."""
    redaction._known.clear()


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MadeOnce:
    """A folder that all processes of a test run share, filled by the first one that asks for it:
    `made_once("base", fill)`. What is in it stays as it is: tests write elsewhere."""
    place = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        place = place.parent  # xdist gives each of its processes a folder below the run's own

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, whole = place / name, place / f"{name}.whole"
        with FileLock(place / f"{name}.lock"):
            if not whole.exists():
                folder.mkdir()
                fill(folder)
                whole.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def small_base(made_once: MadeOnce) -> Path:
    """A folder with a base of three languages, trained in seconds, once a test run."""
    recipe = tiny_base()
    return pretrain(recipe, made_once("base", lambda folder: pretrain(recipe, folder)))


@pytest.fixture(autouse=True)
def _no_stray_addresses() -> Iterator[None]:
    """Whatever a test does, the next one finds no MLflow address in the environment."""
    yield
    assert "MLFLOW_TRACKING_URI" not in os.environ


StudyFile = Callable[..., Path]


@pytest.fixture
def study_file(tmp_path: Path, study_file_in: StudyFile) -> StudyFile:
    """Writes a study of seconds on the small base; arguments replace keys of its sections:
    `study_file(study={"name": "other"}, budget={"num_trials": 3})`."""
    return partial(study_file_in, tmp_path)


@pytest.fixture(scope="session")
def study_file_in(small_base: Path) -> StudyFile:
    """As `study_file`, for fixtures that have a folder of their own: it comes first."""

    def write(folder: Path, **sections: dict[str, Any]) -> Path:
        content: dict[str, dict[str, Any]] = {
            "study": {"name": "small", "encoder": str(small_base), "seed": 3, "sampler": "random"},
            "space": {
                "intermediate": ["none", "fact", "rel", "fact+rel"],
                "intermediate_learning_rate": [5e-4, 1e-3],
                "target_learning_rate": [5e-4, 1e-3],
                "targets": ["coh", "retrieval"],
            },
            "training.intermediate": {"num_steps": 30, "batch_size": 16, "max_length": 64},
            "training.target": {
                "num_steps": 20,
                "batch_size": 16,
                "max_length": 64,
                "max_train_rows": 200,
            },
            "evaluation": {"languages": ["de", "es"], "max_rows": 60},
            "resources": {"checkpoint_seconds": 0.2},
            "budget": {"num_trials": 5},
        }
        for name, keys in sections.items():
            section = name.replace("__", ".")
            content[section] = {**content.get(section, {}), **keys}
        path = folder / f"{content['study']['name']}.toml"
        path.write_text("\n".join(_toml(name, keys) for name, keys in content.items()))
        StudySettings.load(path)
        return path

    return write


def _toml(name: str, keys: dict[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in keys.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        inner = ", ".join(f'"{key}" = {_value(item)}' for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Real rows in the hub's layout, beside the repository."""
    folder = Path(__file__).parents[1] / ".." / "shared" / "hub"
    if not folder.is_dir():
        pytest.skip("no mirror of the hub at ../shared/hub")
    return folder.resolve()


@pytest.fixture(scope="session")
def is_mirrored(mirror: Path) -> Callable[..., bool]:
    """Whether the mirror has the data set that a task's rows in a language come from."""

    def find(name: str, language: str | None = None) -> bool:
        task = SHIPPED.get(name)
        if task.parts:
            return all(find(part.name, language) for part in task.parts)
        place = task.origin_of(language or task.languages[0]).dataset
        return place == "pocket" or (mirror / place).is_dir()

    return find


@pytest.fixture(scope="session")
def _object_server() -> Iterator[Any]:
    from tests.object_server import ObjectServer

    server = ObjectServer()
    yield server
    server.stop()


@pytest.fixture
def object_server(_object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 server that boto3 finds by the environment, as at the start: up and without faults."""
    from tests.object_server import KEYS

    for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": _object_server.url}.items():
        monkeypatch.setenv(name, value)
    yield _object_server
    _object_server.start()
    _object_server.fault = lambda environ: None


@pytest.fixture
def bucket(object_server: Any) -> str:
    """The address of a prefix in a new bucket."""
    name = f"phases-{uuid.uuid4().hex[:8]}"
    request = urllib.request.Request(f"{object_server.url}/{name}", method="PUT")
    urllib.request.urlopen(request).close()
    return f"s3://{name}/team"


Change = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def changed_root(mirror: Path, tmp_path: Path) -> Callable[..., Path]:
    """A data root with one data set of the mirror, one of its files cut and changed:
    `changed_root("google/xtreme", "PAN-X.de/validation", change)`."""

    def make(dataset: str, place: str, change: Change, *, num_rows: int = 40) -> Path:
        shutil.copytree(mirror / dataset, tmp_path / "root" / dataset, copy_function=os.symlink)
        target = tmp_path / "root" / dataset / f"{place}-00000-of-00001.parquet"
        table = pq.read_table(target).slice(0, num_rows)
        target.unlink()
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), target)
        return tmp_path / "root"

    return make


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[..., Path]:
    """A data root with a made data set in the hub's layout and of the hub's schema:
    `make_root("owner/name", "config", {"train": rows}, labels={"label": ["no", "yes"]})`; called
    again it adds configs. Labels of rows are their numbers, as in the hub's own files."""

    def make(
        dataset: str,
        config: str,
        splits: dict[str, list[dict[str, Any]]],
        *,
        labels: dict[str, list[str]] | None = None,
    ) -> Path:
        folder = tmp_path / "made" / dataset
        for split, rows in splits.items():
            table = Dataset.from_list(rows)
            for column, names in (labels or {}).items():
                table = table.cast_column(column, ClassLabel(names=names))
            table.to_parquet(folder / config / f"{split}-00000-of-00001.parquet")
        configs = [
            {
                "config_name": found.name,
                "data_files": [
                    {"split": path.name.split("-")[0], "path": f"{found.name}/{path.name}"}
                    for path in sorted(found.glob("*.parquet"))
                ],
            }
            for found in sorted(folder.iterdir())
            if found.is_dir()
        ]
        content = {"configs": configs}
        (folder / "README.md").write_text(f"---\n{json.dumps(content)}\n---\n")
        return tmp_path / "made"

    return make
