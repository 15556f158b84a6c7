"""Planted rows of a study, with scores known in advance; a small study, and one that was run."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.cli.app import main
from search.display.json_form import from_json
from search.home import Home
from search.record.address import ExperimentAddress, RecordAddress
from search.record.mlflow_client import prepare
from search.record.reader import StudyRecord, read_study
from search.record.registry import RegisteredModel
from search.record.writer import RecordWriter
from search.recorded_settings import RecordedSettings
from search.trials.language_verdicts import LanguageVerdict
from search.trials.ranking import PhaseRow, TrialRow, TrialState
from spaces.phases import Phase, Pooling, Recipe, Target, TrialPlan
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from tests.by_name import mixture_of
from trainables.exporting.model_folder import ModelDescription, export_target
from trainables.scoring.scores import Mark, Scores, ScoringProtocol, TargetScores
from trainables.training.context import TrialContext
from trainables.training.stage import get_or_train
from trainables.training.workers import Workers

RECIPE = Recipe(num_steps=20, batch_size=8, max_length=32)


def phase(source: str, rate: float, seed: int = 0) -> Phase:
    return Phase(mixture=mixture_of({source: 1.0}), learning_rate=rate, seed=seed, recipe=RECIPE)


def plan(source: str | None, rate: float = 2e-4, target_rate: float = 1e-4) -> TrialPlan:
    """An intermediate phase (or none), then two targets that train and one that does not."""
    return TrialPlan(
        encoder="tiny",
        intermediate=phase(source, rate) if source else None,
        targets=(
            Target(task=SHIPPED.get("rel"), phase=phase("rel", target_rate)),
            Target(task=SHIPPED.get("coh"), phase=phase("coh", target_rate)),
            Target(task=SHIPPED.get("retrieval"), phase=None),
        ),
    )


def target_scores(
    task: str, values: Mapping[str, float], *, mark: Mark = Mark.NONE, **protocol: Any
) -> TargetScores:
    fields = {
        "task": task,
        "metric": "accuracy",
        "split": "validation",
        "selection": "target_dev",
        "data": "d1",
        "labels": "a,b",
        "rows": 0,
        "layer": None,
        "pooling": None,
        "max_length": 32,
        "training_version": 1,
    }
    return TargetScores(
        task=task,
        main="accuracy",
        source_language="en",
        chance=0.25,
        languages={language: {"accuracy": value} for language, value in values.items()},
        num_rows=dict.fromkeys(values, 100),
        protocol=ScoringProtocol(**{**fields, **protocol}),
        mark=mark,
    )


def scores(
    level: float,
    *,
    mark: Mark = Mark.NONE,
    marks: Mapping[str, Mark] | None = None,
    **protocol: Any,
) -> Scores:
    """Zero-shot mean of `level` over rel and coh; German above it, Turkish below. `mark` is that of
    both, but for those that `marks` names."""
    of = {"rel": mark, "coh": mark, **(marks or {})}
    rel = {"en": level + 0.2, "de": level + 0.1, "tr": level - 0.1}
    coh = {"en": level + 0.3, "de": level + 0.05, "tr": level - 0.05}
    return Scores(
        targets=(
            target_scores("rel", rel, mark=of["rel"], **protocol),
            target_scores("coh", coh, mark=of["coh"], **protocol),
            target_scores("retrieval", {"de": 0.9, "tr": 0.1 + level / 3}, **protocol),
        ),
        of_interest=("rel", "coh"),
    )


def scored(
    number: int,
    level: float,
    source: str | None,
    *,
    rate: float = 2e-4,
    target_rate: float = 1e-4,
    **more: Any,
) -> TrialRow:
    params = {"intermediate": source or "none", "target.learning_rate": target_rate}
    if source:
        params["intermediate.learning_rate"] = rate
    keys = (f"{number:02d}r" * 10, f"{number:02d}c" * 10)
    return TrialRow(
        number=number,
        state=TrialState.SCORED,
        params=params,
        plan=plan(source, rate, target_rate),
        phase_keys=((f"{source}-{rate}",) if source else ()) + keys,
        objective=level,
        scores=scores(level, **more),
        seconds={
            "training": 2.0 + number / 3,
            "evaluation": 1.0,
            "waiting": 0.1,
            "total": 3.5 + number / 3,
        },
    )


def unscored(number: int, state: TrialState, **fields: Any) -> TrialRow:
    return TrialRow(
        number=number,
        state=state,
        params={"intermediate": "fact"},
        plan=plan("fact"),
        phase_keys=("fact-0.0002",),
        **fields,
    )


def study_rows() -> tuple[TrialRow, ...]:
    """Two baselines (0.50, 0.52), fact at 0.60 and 0.61, and one of every other end."""
    return (
        scored(0, 0.50, None, target_rate=1e-4),
        scored(1, 0.52, None, target_rate=2e-4),
        scored(2, 0.60, "fact", target_rate=1e-4),
        scored(3, 0.61, "fact", target_rate=2e-4),
        scored(4, 0.30, "coh", rate=9e-4, mark=Mark.COLLAPSED),
        unscored(5, TrialState.FAILED, reason="loss was not finite, twice"),
        unscored(6, TrialState.PRUNED),
        unscored(7, TrialState.DUPLICATE, duplicate_of=2, objective=0.60),
        unscored(8, TrialState.RUNNING),
    )


def phase_row(key: str, **fields: Any) -> PhaseRow:
    given: dict[str, Any] = {
        "key": key,
        "parent": None,
        "name": "fact",
        "learning_rate": 2e-4,
        "num_steps": 20,
        "num_examples": 160,
        "seconds": 1.5,
        "dev_score": 1 / 3,
        "retried": False,
    }
    return PhaseRow(**{**given, **fields})


def verdict_cell(task: str, language: str, call: str, mean: float, **fields: Any) -> dict[str, Any]:
    """A verdict of one language as the record has it."""
    given = {"low": mean - 0.02, "high": mean + 0.02, "p": 0.01, "adjusted": 0.02}
    counts = {"num_seeds": 1, "num_rows": 100}
    place = {"task": task, "language": language, "call": call, "mean": mean}
    return {**place, **given, **counts, **fields}


def verdict_cells(**fields: Any) -> list[dict[str, Any]]:
    return [
        verdict_cell("rel", "de", "better", 0.09, **fields),
        verdict_cell("rel", "tr", "tie", 0.03, **fields),
        verdict_cell("coh", "tr", "worse", -0.05, **fields),
    ]


def verdicts_of(cells: list[dict[str, Any]]) -> tuple[LanguageVerdict, ...]:
    """Such verdicts as they are read back from the record."""
    return tuple(from_json(LanguageVerdict, cell, where="a verdict") for cell in cells)


def record_of(rows: tuple[TrialRow, ...]) -> StudyRecord:
    """A finished study of these trials."""
    return StudyRecord(
        name="pocket",
        state="finished",
        digest="abc",
        settings=RecordedSettings(),
        rows=rows,
        phases=(),
        summary={"importance": {"target.learning_rate": 0.7, "intermediate": 0.3}},
        retrains=(),
    )


class Planted:
    """The makers above, as one fixture."""

    plan = staticmethod(plan)
    phase = staticmethod(phase)
    scores = staticmethod(scores)
    target_scores = staticmethod(target_scores)
    scored = staticmethod(scored)
    unscored = staticmethod(unscored)
    study_rows = staticmethod(study_rows)
    phase_row = staticmethod(phase_row)
    record_of = staticmethod(record_of)
    verdict_cell = staticmethod(verdict_cell)
    verdict_cells = staticmethod(verdict_cells)
    verdicts_of = staticmethod(verdicts_of)


@pytest.fixture(scope="session")
def planted() -> type[Planted]:
    return Planted


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Made once: creating the tables takes MLflow two seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    prepare(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def uri(tmp_path: Path, empty_database: bytes) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_database)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def planted_home(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Path:
    """A home folder with the record of a finished study `tiny`: the planted trials, one phase, and
    a retrain with one scored and one failed seed. Tests do not write into it."""
    home = Home.of(tmp_path_factory.mktemp("planted") / "home")
    home.path.mkdir()
    (home.path / "mlflow.db").write_bytes(empty_database)
    rows, phases = study_rows(), [phase_row("fact-0.0002")]
    record = RecordWriter.open(
        ExperimentAddress(home.mlflow_uri()).for_study("tiny"), outbox=home.outbox("tiny")
    )
    record.study_started(settings=SMALL, digest="d", versions={})
    for row in rows:
        record.trial_finished(row, baseline=rows[1])
    record.phase_finished(phases[0], plan_phase={})
    record.study_finished(rows=rows, phases=phases, summary={})
    retrain = record.retrain("trial-3")
    for seed, got in ((1, scores(0.67)), (2, None)):
        retrain.finished(
            seed=seed,
            role="winner",
            plan=plan("fact").with_seed(seed),
            phase_keys=(),
            scores=got,
            reason=None if got else "diverged",
        )
    assert record.close(60)
    return home.path


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds; fail after `seconds`."""

    def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.02)

    return wait


# ---- a study of seconds, as settings, as an empty Optuna database, and as one that was run

SMALL: dict[str, dict[str, Any]] = {
    "study": {"name": "tiny", "encoder": "tiny", "seed": 5, "sampler": "random"},
    "space": {
        "intermediate": ["none", "fact", "coh", "coh+fact"],
        "intermediate_learning_rate": [1e-3, 2e-3],
        "target_learning_rate": [1e-3, 3e-3],
        "targets": ["rel", "retrieval"],
    },
    "training": {
        "intermediate": {
            "num_steps": 20,
            "batch_size": 16,
            "max_length": 64,
            "max_train_rows": 320,
            "pooling": "mean",
        },
        "target": {
            "num_steps": 60,
            "batch_size": 16,
            "max_length": 64,
            "max_train_rows": 1000,
            "pooling": "mean",  # the default of encoders that are made here, as this one is
        },
    },
    "evaluation": {"languages": ["de", "es"], "max_rows": 60},
    "resources": {"checkpoint_seconds": 0.2, "max_concurrent_trials": 2},
    "budget": {"num_trials": 6},
}


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., StudySettings]:
    """The small study; arguments replace keys of its sections: `budget={"num_trials": 3}`."""

    def make(**sections: dict[str, Any]) -> StudySettings:
        content = {name: {**SMALL[name], **sections.get(name, {})} for name in SMALL}
        content |= {name: sections[name] for name in sections.keys() - SMALL.keys()}
        return StudySettings.parse(content)

    return make


@pytest.fixture(scope="session")
def empty_optuna(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Made once: creating the tables takes Optuna a second."""
    path = tmp_path_factory.mktemp("optuna") / "optuna.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def optuna_url(tmp_path: Path, empty_optuna: bytes) -> str:
    (tmp_path / "optuna.db").write_bytes(empty_optuna)
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def write_tables(path: Path, tables: dict[str, Any]) -> Path:
    """A study file of these tables, as a user would have written it."""
    path.write_text(_toml(tables), encoding="utf-8")
    return path


def _toml(table: dict[str, Any], path: str = "") -> str:
    """Plain keys first, then the tables below."""
    lines = [f"[{path}]"] if path else []
    lines += [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict)]
    below = [
        _toml(inner, f"{path}.{name}".strip("."))
        for name, inner in table.items()
        if isinstance(inner, dict)
    ]
    return "\n".join([*lines, *below])


@pytest.fixture(scope="session", name="write_tables")
def _write_tables() -> Callable[[Path, dict[str, Any]], Path]:
    return write_tables


def write_study(path: Path, settings: StudySettings) -> Path:
    """As the TOML file that a user would have written."""
    content = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    for role in ("intermediate", "target"):  # without the key, the encoder would decide
        recipe = getattr(settings.training, role)
        content["training"][role]["pooling"] = recipe.pooling.value
    return write_tables(path, content)


@dataclass(frozen=True, slots=True)
class Finished:
    """A study that `run` finished in a process of its own, and what that process printed."""

    home: Path
    file: Path
    settings: StudySettings
    pid: int
    stdout: str
    stderr: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def address(self) -> RecordAddress:
        experiment = ExperimentAddress(self.uri, self.settings.tracking.experiment)
        return experiment.for_study(self.settings.study.name)

    @property
    def record(self) -> StudyRecord:
        return read_study(self.address)

    def copy(self, folder: Path) -> Path:
        """A home of one's own with the same databases, phases and records."""
        shutil.copytree(self.home, folder)
        return folder


@pytest.fixture(scope="session")
def command() -> Callable[..., list[str]]:
    """The command line of this checkout, to be run in a process of its own."""
    return lambda *arguments: [sys.executable, "-m", "search.cli", *map(str, arguments)]


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    made_once: Callable[..., Path],
    small_base: Path,
    settings_of: Callable[..., StudySettings],
    command: Callable[..., list[str]],
) -> Finished:
    """Six trials, two at a time. Tests do not write into its home: they copy it."""
    settings = settings_of(study={"encoder": str(small_base)})

    def search(folder: Path) -> None:
        file = write_study(folder / "tiny.toml", settings)
        process = subprocess.Popen(
            command("run", file, "--home", folder / "home"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stdout, stderr = process.communicate(timeout=500)
        assert process.returncode == 0, stderr
        printed = {"pid": process.pid, "stdout": stdout, "stderr": stderr}
        (folder / "printed.json").write_text(json.dumps(printed))

    folder = made_once("finished", search)
    # Of this process alone: no other one opens its databases while a test looks for changes.
    home = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(folder / "home", home)
    printed = json.loads((folder / "printed.json").read_text())
    return Finished(home, folder / "tiny.toml", settings, **printed)


class Result:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs the program in this process; what libraries print is seen too."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["transfer-search", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capfd.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory,
    small_base: Path,
    settings_of: Callable[..., StudySettings],
) -> Callable[..., Path]:
    """The exported folder of a task: `model_folder("rel")` has a fresh head on the mean of all
    tokens, `model_folder("rel", "first")` one on the first token, after two steps. Tests do not
    write into it."""
    place = tmp_path_factory.mktemp("models")
    settings = settings_of(study={"encoder": str(small_base)})

    def make(task: str, pooling: str = "mean") -> Path:
        folder = place / task / pooling
        if not folder.exists():
            context = TrialContext.open(
                settings, home=place, encoder=str(small_base), workers=Workers.alone()
            )
            key = None
            if pooling == "first":
                recipe = Recipe(num_steps=2, batch_size=4, max_length=64, pooling=Pooling.FIRST)
                recipe = replace(recipe, max_train_rows=8)
                mixture = mixture_of({task: 1.0})
                phase = Phase(mixture=mixture, learning_rate=1e-3, seed=0, recipe=recipe)
                key = get_or_train(phase, None, context, lambda event: None).key
            about = ModelDescription(
                task=task,
                labels=SHIPPED.get(task).labels,
                max_length=64,
                phase_key=key,
                plan={},
                pooling=pooling,
            )
            export_target(folder, context, about, card="# a card\n")
        return folder

    return make


@pytest.fixture
def add(
    uri: str, tmp_path: Path, planted: Any, model_folder: Callable[..., Path]
) -> Callable[..., RegisteredModel]:
    """Registers the exported folder of a task for a study: `add("tiny-rel", "tiny")`."""

    def register(
        name: str,
        study: str,
        task: str = "rel",
        outcomes: Path | None = None,
        pooling: str = "mean",
    ) -> RegisteredModel:
        record = RecordWriter.open(
            ExperimentAddress(uri, "e").for_study(study), outbox=tmp_path / f"{study}.jsonl"
        )
        plan = planted.plan("fact")
        record.retrain("r").started(seed=1, role="winner", plan=plan, phase_keys=())
        try:
            return record.retrain("r").register(
                model_folder(task, pooling),
                name=name,
                seed=1,
                params={},
                tags={"task": task},
                requirements=[],
                outcomes=outcomes,
            )
        finally:
            record.close(10)

    return register
