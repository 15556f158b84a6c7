"""Measures what a trial costs besides its training: Optuna, MLflow and the searcher.

    OMP_NUM_THREADS=1 python -m benchmarks.control_plane_cost [--trials 1000] [--write]

A stub plays the trials and trains nothing. Their side is Ray's MLflowLoggerCallback, which logs the
same scalars without any structure. The scores of nine tasks in 40 languages are drawn at random.
The searcher is called as Tune calls it, with an event for each phase and rung of a trial; a trial
ends when MLflow has received all of it. Each side writes to separate SQLite files.
"""

import random
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search import Searcher

from benchmarks.common.drawn_scores import TASKS, drawn_scores
from benchmarks.common.measuring import RESULTS, Line, figures, options, publish, seconds_of, spread
from search.driver.searcher import StudySearcher
from search.record.address import ExperimentAddress
from search.record.mlflow_client import prepare
from search.record.writer import RecordWriter
from search.sampling.study import OptunaStudy
from search.trials.ranking import TrialRow
from spaces.languages import LANGUAGES
from spaces.phases import Phase, TrialPlan
from spaces.study_file.study import StudySettings
from trainables.on_ray import pack
from trainables.scoring.scores import Scores
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.key_facts import KeyFacts

MAX_SECONDS, MAX_GROWTH = 0.5, 1.2
PART = 10  # the first and the last tenth of the trials are compared


class StubWorld(KeyFacts):
    """Key facts without rows, since nothing here reads the rows of a phase."""

    def facts(self, phase: Phase) -> dict[str, str]:
        return {"rows": "drawn"}


class Silent:
    """An observer that does nothing."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


def study(num_trials: int) -> StudySettings:
    recipe = {"num_steps": 100, "batch_size": 32, "max_length": 128}
    rates = {"low": 1e-6, "high": 1e-4}
    return StudySettings.parse(
        {
            "study": {"name": "stub", "encoder": "stub", "seed": 0},
            "space": {
                "intermediate": ["none", "mnli", "squad", "hellaswag", "qqp", "csqa"],
                "intermediate_learning_rate": rates,
                "target_learning_rate": rates,
                "targets": list(TASKS),
            },
            "training": {"intermediate": recipe, "target": recipe},
            "budget": {"num_trials": num_trials},
        }
    )


@dataclass(frozen=True, slots=True)
class Stub:
    """Plays the part of Tune and of the trials: scores are drawn, and phases take no time."""

    searcher: StudySearcher
    settings: StudySettings
    record: RecordWriter
    languages: Sequence[str]

    def trial(self, number: int) -> dict[str, float] | None:
        """Run the next trial to its end and return its scores; None if the search is over."""
        name = f"trial-{number}"
        params = self.searcher.suggest(name)
        if params is None or params == Searcher.FINISHED:
            return None
        plan = self.settings.search_space().decode(params)
        draw = random.Random(number)
        scored = tuple(drawn_scores(task, list(self.languages), draw) for task in TASKS)
        for event in self._events(plan, scored):
            result = pack(event)
            self.searcher.on_trial_result(name, result)
            self.searcher.should_prune(name, result)
        self.searcher.on_trial_complete(name)
        assert self.record.outbox.deliver_all()
        return {
            f"{scores.task}.{language}": values["accuracy"]
            for scores in scored
            for language, values in scores.languages.items()
        }

    def _events(self, plan: TrialPlan, scored: tuple[Any, ...]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = [{"event": "start", "seconds": 0.0}]
        for key, parent, phase in KEY_FACTS.stages(plan):
            record = PhaseRecord(key=key, parent=parent, phase=phase.to_dict(), losses=(1.0, 0.5))
            events.append(
                {"event": "phase", "key": key, "reused": False, "record": record.to_dict()}
            )
        whole = Scores(targets=scored)
        for rung in range(len(scored)):
            probe, scores = (replace(whole, targets=scored[k : rung + 1]) for k in (rung, 0))
            content = {"probe": probe.to_dict(), "scores": scores.to_dict()}
            events.append({"event": "rung", "rung": rung, **content})
        seconds = {"evaluation": 0.0, "total": 0.0}
        end = {"event": "end", "state": "scored", "seconds": seconds, "scores": whole.to_dict()}
        return [*events, end]


KEY_FACTS = StubWorld("weights", "pieces")


def ours(folder: Path, num_trials: int, languages: Sequence[str]) -> list[float]:
    """Return the seconds of each trial on our side."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    prepare(uri)
    settings = study(num_trials)
    record = RecordWriter(
        ExperimentAddress(uri, "stub").for_study("stub"), outbox=folder / "outbox.jsonl"
    )
    record.study_started(settings={"evaluation": {}}, digest="stub", versions={})
    searcher = StudySearcher(
        OptunaStudy.open(f"sqlite:///{folder / 'optuna.db'}", settings),
        settings,
        key_facts=KEY_FACTS,
        store=PhaseStore(folder, owner="stub"),
        log=record,
        watch=Silent(),
        stop=threading.Event(),
        max_concurrent=1,
    )
    stub = Stub(searcher, settings, record, languages)
    seconds = []
    for number in range(num_trials):
        spent, scalars = seconds_of(lambda: stub.trial(number))  # noqa: B023
        assert scalars is not None, f"the search ended after {number} trials"
        seconds.append(spent)
    return seconds


class StubTrial:
    """The attributes of one of Tune's trials that the callback reads."""

    def __init__(self, number: int) -> None:
        self.config = {"intermediate": "mnli", "target.learning_rate": 1e-5}
        self.number = number

    def __str__(self) -> str:
        return f"trial-{self.number}"


def callback(folder: Path, num_trials: int, languages: Sequence[str]) -> list[float]:
    """Return the seconds of each trial with the callback, which logs only the scores, in one
    result."""
    uri = f"sqlite:///{folder / 'flat.db'}"
    prepare(uri)
    logger = MLflowLoggerCallback(tracking_uri=uri, experiment_name="flat")
    logger.setup()
    seconds = []
    for number in range(num_trials):
        draw = random.Random(number)
        scalars: dict[str, float] = {"training_iteration": 1}
        for task in TASKS:
            for language, values in drawn_scores(task, list(languages), draw).languages.items():
                scalars[f"{task}.{language}"] = values["accuracy"]
        trial: Any = StubTrial(number)
        started = time.perf_counter()
        logger.log_trial_start(trial)
        logger.log_trial_result(1, trial, scalars)
        logger.log_trial_end(trial)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = options("Measures what a trial costs besides its training.")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--callback-trials", type=int, default=20)
    parser.add_argument("--languages", type=int, default=40)
    arguments = parser.parse_args()
    languages = list(LANGUAGES)[: arguments.languages]
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch)
        flat = callback(folder, arguments.callback_trials, languages)
        seconds = ours(folder, arguments.trials, languages)
    part = max(1, arguments.trials // PART)
    first, last = seconds[:part], seconds[-part:]
    lines = [
        Line(
            name=f"control plane, last {part} trials against the first {part}",
            ours=[statistics.median(last)],
            theirs=[statistics.median(first)],
            unit="s a trial",
            target=1 / MAX_GROWTH,
        ),
        Line(
            name="control plane, MLflowLoggerCallback with the scores only",
            ours=[statistics.median(seconds)],
            theirs=[statistics.median(flat)],
            unit="s a trial",
        ),
    ]
    facts = {
        "trials": f"{arguments.trials} with {len(TASKS)} tasks in {len(languages)} languages; "
        f"{arguments.callback_trials} with the callback",
        "seconds per trial": f"first {spread(first)}, last {spread(last)} "
        f"(wanted: at most {figures(MAX_SECONDS)})",
        "ours": "includes ask, tell, rungs, keys, study and phase runs, plan, matrices, protocol",
    }
    publish("Control plane", lines, facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
