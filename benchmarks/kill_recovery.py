"""Kills workers and drivers of a search at random moments, and checks that nothing is lost or
doubled and that every score equals that of an undisturbed search.

    OMP_NUM_THREADS=1 python -m benchmarks.kill_recovery [--workers 50] [--drivers 20] [--write]

The search is a grid of small trials on the pocket's rows, two at a time. If a search ends before
the kills are used up, it is checked and another search is started. A worker is killed at most once
per two finished trials, because a trial whose worker dies three times fails by design.
"""

import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil

from benchmarks.common.measuring import RESULTS, figures, options, publish, seconds_of
from benchmarks.common.small_model import TINY, write_pocket_encoder
from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from spaces.study_file.study import StudySettings
from trainables.pocket.cldr import LANGUAGES
from trainables.quiet import quiet_libraries

SPOKEN = LANGUAGES[:3]
NAME = "kills"
NUM_TRIALS = 36
MAX_SECONDS = 900.0  # longest wait for work in a search
PAUSE = (0.2, 4.0)  # range of the random pause between two kills, in seconds
FILE = """
[study]
name = "{name}"
encoder = "{encoder}"
seed = 0
sampler = "grid"

[space]
intermediate = ["none", "rel", "fact", "seq", "ner"]
intermediate_learning_rate = [5e-4, 1e-3]
target_learning_rate = [3e-4, 1e-3]
targets = ["kind", "coh"]
seeds = [0, 1]

[training.intermediate]
num_steps = 80
batch_size = 16
max_length = 64

[training.target]
num_steps = 40
batch_size = 16
max_length = 64

[evaluation]
languages = ["{first}", "{second}"]
max_rows = 50

[resources]
checkpoint_seconds = 0.2
max_concurrent_trials = 2

[budget]
num_trials = {num_trials}
"""


@dataclass(slots=True)
class Kills:
    """The kills that are left, and the seconds until a worker was busy again after each kill.

    Attributes:
        workers: worker kills that are left.
        drivers: driver kills that are left.
        draw: source of the random choices.
        after_worker: seconds after each kill of a worker.
        after_driver: seconds after each kill of a driver.
    """

    workers: int
    drivers: int
    draw: random.Random
    after_worker: list[float] = field(default_factory=list)
    after_driver: list[float] = field(default_factory=list)

    @property
    def num_left(self) -> int:
        """Kills that are left."""
        return self.workers + self.drivers

    def is_driver(self) -> bool:
        """Draw whether the next kill hits a driver, in proportion to the kills that are left."""
        return self.draw.random() * self.num_left < self.drivers


@dataclass(slots=True)
class Search:
    """A search in a separate process that is killed and started again."""

    study: Path
    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    def start(self) -> None:
        line = [sys.executable, "-m", "search.cli", "run", str(self.study)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*line, "--home", str(self.home)], stdout=log, stderr=log
            )

    @property
    def is_over(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code in (None, 0), self.log.read_text()
        return code == 0

    def num_ended(self) -> int:
        """Return the number of ended trials, over all drivers."""
        return self.log.read_text().count("] trial ")

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run a trial."""
        assert self.process is not None
        try:
            descendants = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in descendants if _title(process).startswith("ray::Impl")]

    def await_work(self, busy_before: set[int]) -> float:
        """Wait until another worker than those in `busy_before` is busy, or the search is over;
        return the seconds that it took."""
        started = time.monotonic()
        while not self.is_over and not {worker.pid for worker in self.workers()} - busy_before:
            assert time.monotonic() - started < MAX_SECONDS
            time.sleep(0.05)
        return time.monotonic() - started

    def kill_driver(self) -> None:
        """Kill the driver and all its processes without warning, as if the machine went away."""
        assert self.process is not None
        descendants = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for process in descendants:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def disturb(search: Search, kills: Kills) -> None:
    """Run a search to its end and kill its processes until no kill is left."""
    search.start()
    search.await_work(set())
    num_ended = -2  # ended trials at the last kill of a worker
    while not search.is_over:
        time.sleep(kills.draw.uniform(*PAUSE))
        if search.is_over or not kills.num_left:
            time.sleep(0.5)
            continue
        if kills.is_driver():
            search.kill_driver()
            kills.drivers -= 1
            search.start()
            kills.after_driver.append(search.await_work(set()))
        elif search.num_ended() >= num_ended + 2 and (busy := search.workers()):
            num_ended = search.num_ended()
            kills.draw.choice(busy).kill()
            kills.workers -= 1
            kills.after_worker.append(search.await_work({worker.pid for worker in busy}))


def outcome(record: StudyRecord) -> dict[int, Any]:
    """Return what must be equal to the last bit: trial -> its results."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def check(search: Search, expected: dict[int, Any]) -> None:
    """Fail if a trial is lost or doubled in Optuna or MLflow, or if a score differs from that of
    the undisturbed search."""
    record = read(search.home)
    assert outcome(record) == expected, sorted(set(outcome(record)) ^ set(expected))
    storage = f"sqlite:///{search.home / 'optuna.db'}"
    trials = optuna.load_study(study_name=NAME, storage=storage).trials
    assert all(trial.state.is_finished() for trial in trials)
    assert [trial.number for trial in trials] == [row.number for row in record.rows]
    keys = [phase.key for phase in record.phases]
    assert len(keys) == len(set(keys)), "a phase has two runs"
    assert set(keys) == {path.name for path in search.home.glob("phases/*")}


def read(home: Path) -> StudyRecord:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(ExperimentAddress(uri).for_study(NAME))


def write_study(folder: Path) -> Path:
    encoder = write_pocket_encoder(folder / "encoder", SPOKEN, TINY)
    path = folder / f"{NAME}.toml"
    words = {"first": SPOKEN[1], "second": SPOKEN[2], "num_trials": NUM_TRIALS}
    path.write_text(FILE.format(name=NAME, encoder=encoder, **words))
    StudySettings.load(path)
    return path


def disturbed(study: Path, folder: Path, kills: Kills, expected: dict[int, Any]) -> Iterator[float]:
    """Run searches until the kills are used up; yield the seconds of each."""
    while kills.num_left:
        search = Search(study, folder / f"disturbed-{kills.num_left}")
        yield seconds_of(lambda: disturb(search, kills))[0]  # noqa: B023
        check(search, expected)


def main() -> None:
    parser = options("Kills workers and drivers of a search at random moments.")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--drivers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    quiet_libraries()
    kills = Kills(arguments.workers, arguments.drivers, random.Random(arguments.seed))
    with tempfile.TemporaryDirectory(prefix="ts-") as scratch:
        folder = Path(scratch)
        study = write_study(folder)
        calm = Search(study, folder / "undisturbed")
        alone, _ = seconds_of(lambda: disturb(calm, Kills(0, 0, random.Random(0))))
        expected = outcome(read(calm.home))
        assert len(expected) == NUM_TRIALS
        seconds = list(disturbed(study, folder, kills, expected))
    facts = {
        "kills": f"{arguments.workers} of a worker, {arguments.drivers} of the driver with all its "
        f"processes, in {len(seconds)} searches of {NUM_TRIALS} trials",
        "lost trials, doubled trials or different scores": "none",
        "seconds of a search": f"{figures(alone)} undisturbed, "
        f"{figures(statistics.median(seconds))} disturbed",
        "time until a worker is busy again": ", ".join(
            f"{figures(statistics.median(waits))} s after the kill of a {name} (at most "
            f"{figures(max(waits))} s)"
            for name, waits in (("worker", kills.after_worker), ("driver", kills.after_driver))
            if waits
        ),
    }
    publish("Kills", [], facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
