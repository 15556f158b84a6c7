"""A whole search on a local Ray: what it leaves, how it is stopped and taken up again."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState as OptunaState

from search.driver.runner import (
    _rank,
    _recorded,
    _Stopper,
    driving,
    run_study,
)
from search.glance.text import MAX_LINES
from search.home import Home
from search.record.address import ExperimentAddress
from search.record.entries import trial_labels
from search.record.reader import StudyRecord, read_outcomes, read_study
from search.sampling.study import OptunaStudy
from search.trials.ranking import TrialState, best_baseline, ranked
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder
from trainables.features.features import Data
from trainables.on_ray import Launch
from trainables.scoring.outcomes import score_of
from trainables.training.drain import DrainMark

Settings = Callable[..., StudySettings]
Command = Callable[..., list[str]]


class Quiet:
    """A watch that shows nothing."""

    def resumed(self, *_: Any) -> None: ...

    started = moved = finished = resumed


def optuna_trials(home: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{home / 'optuna.db'}"
    return optuna.load_study(study_name="tiny", storage=url).trials


def record_of(home: Path) -> StudyRecord:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(ExperimentAddress(uri).for_study("tiny"))


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal, however the search went."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent's pid, command line) of every process."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
        yield int(folder.name), parent, line


def processes_of_ray(driver: int) -> list[int]:
    """Processes of the Ray that a driver started: all of them know its scratch folder."""
    return [pid for pid, _, line in processes() if f"ts-{driver}-" in line]


def workers_of(driver: int) -> dict[int, str]:
    """Ray's workers of a driver that are busy, by pid, with what they call themselves."""
    raylets = {pid for pid, _, line in processes() if f"ts-{driver}-" in line and "raylet" in line}
    found = {pid: line for pid, parent, line in processes() if parent in raylets}
    return {pid: line for pid, line in found.items() if line.startswith("ray::Impl")}


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the search ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the finished study


@pytest.mark.ray
def test_the_databases_agree(finished: Any) -> None:
    record, trials = finished.record, optuna_trials(finished.home)
    assert record.state == "finished"
    assert [row.number for row in record.rows] == [trial.number for trial in trials]
    for row, trial in zip(record.rows, trials, strict=True):
        assert trial.state is OptunaState.COMPLETE
        assert trial.params == row.params
        assert trial.value == row.objective
        assert finished.settings.search_space().decode(trial.params) == row.plan
    states = Counter(row.state for row in record.rows)
    assert states[TrialState.SCORED] == 6
    assert states.keys() <= {TrialState.SCORED, TrialState.DUPLICATE}
    assert record.summary["num_trials"] == 6
    assert len({row.objective for row in record.rows}) > 2, "a study of equal scores tests little"
    assert all(row.plan.is_baseline for row in record.rows[:2])


@pytest.mark.ray
def test_what_each_row_got_is_in_mlflow_and_the_best_is_judged_by_it(finished: Any) -> None:
    record = finished.record
    address = ExperimentAddress(finished.uri).for_study("tiny")
    best, baseline = ranked(record.rows)[0], best_baseline(record.rows)
    for row in (best, baseline):
        assert row is not None
        assert row.scores is not None
        kept = read_outcomes(address, trial_labels(row.number))
        assert {
            task: {language: score_of(rows) for language, rows in found.items()}
            for task, found in kept.items()
        } == {target.task: target.by_language for target in row.scores.targets}
    judged = record.summary["verdicts"]
    if best.plan.is_baseline:
        assert judged is None
        return
    assert (judged["trial"], judged["baseline"]) == (best.number, baseline.number)
    cells = {(cell["task"], cell["language"]): cell["mean"] for cell in judged["languages"]}
    for task, language, mean in ((*place, mean) for place, mean in cells.items()):
        scores = [
            {target.task: target.by_language for target in row.scores.targets}[task][language]
            for row in (best, baseline)
        ]
        assert mean == pytest.approx(scores[0] - scores[1])
    assert len(cells) == 5, "rel in three languages, retrieval in two"


@pytest.mark.ray
def test_every_phase_is_trained_once(finished: Any) -> None:
    record = finished.record
    scored = [row for row in record.rows if row.state is TrialState.SCORED]
    listed = {key for row in scored for key in row.phase_keys}
    stored = {path.name for path in (finished.home / "phases").iterdir()}
    assert stored == listed == {phase.key for phase in record.phases}
    assert len(record.phases) == len(listed)
    assert not list((finished.home / "attempts").glob("*/*"))


@pytest.mark.ray
def test_a_search_never_reads_test_rows(finished: Any) -> None:
    names = [path.name for path in (finished.home / "data").iterdir()]
    assert names
    assert not [name for name in names if "-test-" in name]
    for row in finished.record.rows:
        for target in row.scores.targets if row.scores else ():
            assert target.protocol.split == "validation"


@pytest.mark.ray
def test_nothing_of_ray_is_left(finished: Any) -> None:
    assert processes_of_ray(finished.pid) == []
    assert not list(Path(tempfile.gettempdir()).glob(f"ts-{finished.pid}-*"))
    assert not (finished.home / "ray-train").exists()
    assert not (Path.cwd() / "mlruns").exists()
    trial_marks = OptunaStudy.open(
        f"sqlite:///{finished.home / 'optuna.db'}", finished.settings
    ).read_mark("driver")
    assert trial_marks is None, "the fence is given back"


@pytest.mark.ray
def test_a_new_home_is_its_users_alone(finished: Any) -> None:
    home = finished.home
    records = [*home.glob("*.db"), *home.glob("outbox/*.jsonl"), home / "log.jsonl"]
    assert len(records) == 4
    assert {oct(path.stat().st_mode & 0o777) for path in records} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (home, home / "outbox")} == {"0o700"}


def test_a_run_prints_nothing_but_trials_and_report(finished: Any) -> None:
    assert finished.stderr == ""
    lines = finished.stdout.splitlines()
    assert [line[:5] for line in lines[:6]] == [f"[{n}/6]" for n in range(1, 7)]
    assert lines[6].startswith("Study tiny (finished)")
    assert len(lines) <= 6 + MAX_LINES + 1, "the last line says where MLflow shows the trials"
    assert any(f": transfer-search retrain {finished.file} " in line for line in lines[-4:])
    for noise in ("Loading weights", "INFO", "Warning", "Trial status", "alembic", "Logical"):
        assert noise not in finished.stdout


@pytest.mark.ray
def test_a_finished_study_starts_nothing(finished: Any, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    before = outcome(record_of(home))
    began = time.monotonic()
    found = run_study(finished.settings, Home.of(home), Quiet())
    assert time.monotonic() - began < 15, "no Ray is started for it"
    assert found.is_finished
    assert found.record is not None
    assert found.record.state == "finished"
    assert outcome(found.record) == before
    assert len(optuna_trials(home)) == len(before)


# ---- passwords, signals


def test_passwords_go_neither_to_mlflow_nor_to_workers(settings_of: Settings) -> None:
    settings = settings_of(
        tracking={"optuna": "postgresql://me:hunter2@db/x", "mlflow": "https://me:hunter3@m"}
    )
    in_query = settings_of(tracking={"optuna": "postgresql://db/x?user=me&password=hunter4"})
    assert _recorded(in_query)["tracking"]["optuna"] == "postgresql://db/x?user=me&password=***"
    recorded = _recorded(settings)
    assert recorded["tracking"]["optuna"] == "postgresql://me:***@db/x"
    assert "hunter" not in repr(recorded)
    assert StudySettings.parse(recorded).digest() == settings.digest()
    launch = Launch.of(settings, home=Path("home"), encoder="tiny")
    assert "hunter" not in repr(launch)
    assert launch.read_settings().digest() == settings.digest()


def test_signals_stop_and_are_given_back(settings_of: Settings, optuna_url: str) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    settings = settings_of()
    study = OptunaStudy.open(optuna_url, settings)
    for number in before:
        with driving(study, settings) as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            assert stop.wait(5)
        assert {n: signal.getsignal(n) for n in before} == before
        assert study.read_mark("driver") is None


def test_a_signal_ends_watching_another_drivers_mark(
    settings_of: Settings, optuna_url: str
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    study = OptunaStudy.open(optuna_url, settings_of())
    mark = {"id": "other", "time": 0.0, "host": "elsewhere", "pid": 1}
    study.write_mark("driver", mark)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(KeyboardInterrupt), driving(study, settings_of()):
        pytest.fail("another driver's mark stands")
    assert study.read_mark("driver") == mark
    assert {n: signal.getsignal(n) for n in before} == before


def test_trials_get_a_while_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher: Any = SimpleNamespace(is_stopped=False, is_drained=False)
    mark = DrainMark(tmp_path / "mark")
    mark.make()
    stopper = _Stopper(searcher, mark)
    assert not stopper.stop_all()
    assert not mark.is_set()
    searcher.is_stopped = True
    assert not stopper.stop_all()
    assert mark.is_set()
    searcher.is_drained = True
    assert stopper.stop_all()
    searcher.is_drained = False
    monkeypatch.setattr("search.driver.runner.TRIALS_DRAIN_SECONDS", -1.0)
    assert _Stopper(searcher, mark).stop_all(), "for a while, not for ever"


# ---- slow: interrupted, broken, several workers, pruned


def test_what_looks_promising_is_found_out_once(
    settings_of: Settings, small_base: Path, optuna_url: str, tmp_path: Path
) -> None:
    settings = settings_of(study={"priors": True})
    study = OptunaStudy.open(optuna_url, settings)
    data = Data(tmp_path / "data", BaseEncoder.load(str(small_base)))
    started: Any = SimpleNamespace(settings=settings, optuna=study, data=data)
    interrupted, nothing = threading.Event(), threading.Event()
    interrupted.set()
    _rank(started, lambda *_: None, interrupted)
    assert study.priors is None
    _rank(started, lambda *_: None, nothing)
    assert study.priors is not None
    first = [row["option"] for row in study.priors["options"][:2]]
    asked = [study.ask().params["intermediate"] for _ in range(4)]
    assert asked == ["none", "none", *first]
    assert OptunaStudy.open(optuna_url, settings).priors == study.priors


@pytest.mark.ray
@pytest.mark.slow
def test_what_looks_promising_is_tried_first(
    finished: Any, tmp_path: Path, command: Command
) -> None:
    settings = finished.settings
    promising = settings.model_copy(
        update={
            "study": settings.study.model_copy(update={"priors": True}),
            "budget": settings.budget.model_copy(update={"num_trials": 4}),
        }
    )
    record = run_in_process(promising, tmp_path, command)
    priors = record.summary["priors"]
    url = f"sqlite:///{tmp_path / 'home' / 'optuna.db'}"
    assert OptunaStudy.open(url, promising).priors == priors
    first = [row["option"] for row in priors["options"][:2]]
    assert [row.params["intermediate"] for row in record.rows] == ["none", "none", *first]
    assert [dict(row.params) for row in record.rows[2:]] == priors["first"]


@pytest.mark.ray
@pytest.mark.slow
def test_interrupted_twice_and_taken_up(finished: Any, tmp_path: Path, command: Command) -> None:
    """By Ctrl-C, and what goes on from there by SIGTERM."""
    home, line = tmp_path / "home", command("run", finished.file, "--home", tmp_path / "home")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def phases() -> set[str]:
        return {path.name for path in home.glob("phases/*")}

    for number, num_phases in ((signal.SIGINT, 3), (signal.SIGTERM, 1)):
        wanted = len(phases()) + num_phases
        process = subprocess.Popen(line, start_new_session=True, **pipes)  # type: ignore[call-overload]
        wait_until(lambda wanted=wanted: len(phases()) >= wanted, process)  # type: ignore[misc]
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        began = time.monotonic()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 130
        assert errors == "transfer-search: interrupted; run the same command again to continue\n"
        assert time.monotonic() - began < 60
        assert not list(Path(tempfile.gettempdir()).glob(f"ts-{process.pid}-*"))
        states = Counter(trial.state for trial in optuna_trials(home))
        assert states[OptunaState.RUNNING] >= 1
        assert states[OptunaState.FAIL] == 0
    again = subprocess.run(line, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert outcome(record_of(home)) == outcome(finished.record)
    assert phases() == {path.name for path in (finished.home / "phases").iterdir()}


@pytest.mark.ray
@pytest.mark.slow
def test_killed_workers_change_nothing(finished: Any, tmp_path: Path, command: Command) -> None:
    """All that are busy, three times: inside a phase of the first two trials, after these (when a
    worker that waits for its next trial may be hit), and after two more. No trial is hit three
    times, which would be its end."""
    home, log = tmp_path / "home", tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command("run", finished.file, "--home", home), stdout=out, stderr=out
        )

    def ended() -> list[str]:
        return re.findall(r"\] trial (\d+)", log.read_text())

    num_killed = 0
    for moment in (
        lambda: list(home.glob("attempts/*/*/checkpoint-*")),
        lambda: {"0", "1"} <= set(ended()),
        lambda: len(ended()) >= 4,
    ):
        wait_until(moment, process)
        wait_until(lambda: workers_of(process.pid), process)
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
            num_killed += 1
    assert process.wait(timeout=300) == 0, log.read_text()
    assert outcome(record_of(home)) == outcome(finished.record)
    told = log.read_text()
    assert 1 <= told.count("is started again: its worker died") <= num_killed
    assert "Traceback" not in told


TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL needs two GPUs")
TWO_CORES = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two cores")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("gpus_per_worker", "tolerance"),
    [
        pytest.param(0, 1e-3, id="gloo", marks=TWO_CORES),
        # bf16 rounds: half a point, of one worker on the CPU.
        pytest.param(1, 5e-3, id="nccl", marks=[TWO_GPUS, pytest.mark.gpu]),
    ],
)
def test_two_workers_score_as_one(
    finished: Any, tmp_path: Path, command: Command, gpus_per_worker: int, tolerance: float
) -> None:
    settings = finished.settings
    resources = {
        "num_workers": 2,
        "max_concurrent_trials": 1,
        "gpus_per_worker": gpus_per_worker,
    }
    several = settings.model_copy(
        update={
            "resources": settings.resources.model_copy(update=resources),
            "budget": settings.budget.model_copy(update={"num_trials": 3}),
        }
    )
    outcome_of_two = run_in_process(several, tmp_path, command)
    alone = {row.number: row for row in finished.record.rows}
    scored = [row for row in outcome_of_two.rows if row.state is TrialState.SCORED]
    assert len(scored) == 3
    for row in scored:
        assert row.params == alone[row.number].params
        assert row.phase_keys == alone[row.number].phase_keys
        assert row.objective == pytest.approx(alone[row.number].objective, abs=tolerance)
    assert not (tmp_path / "home" / "ray-train").exists()


def run_in_process(settings: StudySettings, folder: Path, command: Command) -> StudyRecord:
    """Run a study in a process of its own, by its settings, and read its record."""
    settings_file, home = folder / "settings.json", folder / "home"
    settings_file.write_text(settings.model_dump_json())
    code = (
        "import json, sys; from search.cli.app import main\n"
        "from spaces.study_file.study import StudySettings\n"
        "settings = StudySettings.parse(json.load(open(sys.argv[1])))\n"
        "StudySettings.load = classmethod(lambda cls, study: settings)\n"
        "sys.argv[1:] = ['run', 'tiny', '--home', sys.argv[2]]; main()"
    )
    line = [sys.executable, "-c", code, str(settings_file), str(home)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return record_of(home)


@pytest.mark.ray
@pytest.mark.slow
def test_trials_are_pruned(finished: Any, tmp_path: Path, command: Command) -> None:
    settings = finished.settings
    pruning = settings.model_copy(
        update={
            "study": settings.study.model_copy(update={"pruner": "lowest_third"}),
            "budget": settings.budget.model_copy(update={"num_trials": 12}),
        }
    )
    record = run_in_process(pruning, tmp_path, command)
    trials = optuna_trials(tmp_path / "home")
    pruned = [row for row in record.rows if row.state is TrialState.PRUNED]
    assert pruned
    for row in pruned:
        assert trials[row.number].state is OptunaState.PRUNED
        assert trials[row.number].value == row.objective
        assert row.scores is not None
        assert [target.task for target in row.scores.targets] == ["rel"]
    counted = [r for r in record.rows if r.state in (TrialState.PRUNED, TrialState.SCORED)]
    assert len(counted) == 12


@pytest.mark.ray
@pytest.mark.slow
def test_two_homes_with_one_object_store_train_once(
    finished: Any, tmp_path: Path, command: Command, bucket: str
) -> None:
    settings = finished.settings
    resources = settings.resources.model_copy(update={"phase_store": bucket})
    budget = settings.budget.model_copy(update={"num_trials": 2})
    sharing = settings.model_copy(update={"resources": resources, "budget": budget})
    records = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        records.append(run_in_process(sharing, tmp_path / name, command))
    one, two = records
    alone = outcome(finished.record)
    assert outcome(one) == outcome(two) == {number: alone[number] for number in (0, 1)}
    assert [row.num_reused for row in two.rows] == [len(row.phase_keys) for row in two.rows]
    assert [row.num_reused for row in one.rows] != [row.num_reused for row in two.rows]
