"""Kills at random moments: of workers and of the driver, until so many were killed; then nothing
may be lost or doubled, and every score must be that of an undisturbed search.

    OMP_NUM_THREADS=1 python -m benchmarks.kills [--workers 50] [--drivers 20] [--write]

A grid of small trials of the pocket's rows, two at a time. A search that is over before the kills
are used up is checked, and another one begun. Workers are killed at most once in two finished
trials: a trial whose worker dies three times is failed, as it should be.
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

from benchmarks.measuring import RESULTS, figures, options, publish, seconds_of
from benchmarks.small_model import TINY, write_pocket_encoder
from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from spaces.study import StudySettings
from trainables.pocket.cldr import LANGUAGES
from trainables.quiet import quiet_libraries

SPOKEN = LANGUAGES[:3]
NAME = "kills"
NUM_TRIALS = 36
MAX_SECONDS = 900.0  # of one search
PAUSE = (0.2, 4.0)  # seconds between two kills, drawn
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
    """How many are left to kill, and how long each took until somebody was at work again."""

    workers: int
    drivers: int
    draw: random.Random
    after_worker: list[float] = field(default_factory=list)
    after_driver: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.workers + self.drivers

    def is_driver(self) -> bool:
        """Whom the next one hits, in proportion to what is left."""
        return self.draw.random() * self.left < self.drivers


@dataclass(slots=True)
class Search:
    """A search in a process of its own, killed and started again."""

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

    def num_told(self) -> int:
        """Trials that ended, over all drivers."""
        return self.log.read_text().count("] trial ")

    def workers(self) -> list[psutil.Process]:
        """Those that run a trial."""
        assert self.process is not None
        try:
            below = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [one for one in below if _title(one).startswith("ray::Impl")]

    def await_work(self, besides: set[int]) -> float:
        """Seconds until a worker is busy that was not before, or the search is over."""
        started = time.monotonic()
        while not self.is_over and not {one.pid for one in self.workers()} - besides:
            assert time.monotonic() - started < MAX_SECONDS
            time.sleep(0.05)
        return time.monotonic() - started

    def kill_driver(self) -> None:
        """Without a word, and with it whatever it started: as a machine that goes away."""
        assert self.process is not None
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for one in below:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def disturb(search: Search, kills: Kills) -> None:
    """Run a search to its end, killing until none is left to kill."""
    search.start()
    search.await_work(set())
    told = -2
    while not search.is_over:
        time.sleep(kills.draw.uniform(*PAUSE))
        if search.is_over or not kills.left:
            time.sleep(0.5)
            continue
        if kills.is_driver():
            search.kill_driver()
            kills.drivers -= 1
            search.start()
            kills.after_driver.append(search.await_work(set()))
        elif search.num_told() >= told + 2 and (busy := search.workers()):
            told = search.num_told()
            kills.draw.choice(busy).kill()
            kills.workers -= 1
            kills.after_worker.append(search.await_work({one.pid for one in busy}))


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal to the last bit."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


def check(search: Search, expected: dict[int, Any]) -> None:
    """No trial lost, none twice, in Optuna and in MLflow; every score as it was undisturbed."""
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
    """Seconds of each search that it took to use up the kills."""
    while kills.left:
        search = Search(study, folder / f"disturbed-{kills.left}")
        yield seconds_of(lambda: disturb(search, kills))[0]  # noqa: B023
        check(search, expected)


def main() -> None:
    parser = options("Kills at random moments.")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--drivers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    quiet_libraries()
    kills = Kills(given.workers, given.drivers, random.Random(given.seed))
    with tempfile.TemporaryDirectory(prefix="ts-") as scratch:
        folder = Path(scratch)
        study = write_study(folder)
        calm = Search(study, folder / "undisturbed")
        alone, _ = seconds_of(lambda: disturb(calm, Kills(0, 0, random.Random(0))))
        expected = outcome(read(calm.home))
        assert len(expected) == NUM_TRIALS
        seconds = list(disturbed(study, folder, kills, expected))
    facts = {
        "kills": f"{given.workers} of a worker, {given.drivers} of the driver with all its "
        f"processes, in {len(seconds)} searches of {NUM_TRIALS} trials",
        "lost, doubled or scored otherwise": "none",
        "seconds": f"{figures(alone)} undisturbed, {figures(statistics.median(seconds))} disturbed",
        "until a worker is at work again": ", ".join(
            f"{figures(statistics.median(found))} s after a {name} (at most {figures(max(found))})"
            for name, found in (("worker", kills.after_worker), ("driver", kills.after_driver))
            if found
        ),
    }
    publish("Kills", [], facts=facts, results=RESULTS if given.write else None)


if __name__ == "__main__":
    main()
