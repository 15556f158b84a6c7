"""Measures how writing and reading the MLflow record slow down as a study grows.

    python -m benchmarks.record_growth [--trials 1000] [--tracking-uri URI]

The scores are drawn and nothing is trained, but the code that writes and reads the record is that
of a real search. Without `--tracking-uri` the script starts `mlflow server` on a new SQLite file.
Prints JSON.
"""

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common.drawn_scores import TASKS, drawn_scores
from search.record.address import ExperimentAddress
from search.record.mlflow_client import prepare
from search.record.reader import StudyRecord, read_study
from search.record.writer import RecordWriter
from search.report.forms import render_html, report_json
from search.trials.ranking import Baselines, TrialRow, TrialState
from spaces.languages import LANGUAGES
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe, Target, TrialPlan
from spaces.study_file.sections import SelectionRule
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from trainables.scoring.scores import Scores, objective

INTERMEDIATES = (None, "mnli", "squad", "hellaswag", "qqp", "csqa")
STUDY, EXPERIMENT = "grown", "transfer-search"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--languages", type=int, default=40)
    parser.add_argument("--tracking-uri", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), options.tracking_uri) as uri:
        measured = measure(uri, Path(folder), options.trials, options.languages)
    print(json.dumps(measured, indent=1))


def measure(uri: str, folder: Path, num_trials: int, num_languages: int) -> dict[str, Any]:
    rows = drawn(num_trials, num_languages)
    address = ExperimentAddress(uri, EXPERIMENT).for_study(STUDY)
    writer = RecordWriter(address, outbox=folder / "outbox.jsonl")
    seconds = write(rows, writer)
    running = timed(lambda: read_study(address), times=1)
    finish(rows, writer)
    record = read_study(address)
    assert len(record.rows) == num_trials
    return {
        "trials": num_trials,
        "languages": num_languages,
        "tasks": len(TASKS),
        "metrics_a_trial": sum(len(t.languages) for t in rows[0].scores.targets),  # type: ignore[union-attr]
        "write_seconds_a_trial": {
            "first_100": statistics.median(seconds[:100]),
            "last_100": statistics.median(seconds[-100:]),
        },
        "ui": {name: timed(lambda q=query: ask(uri, **q)) for name, query in queries().items()},
        "read_study_seconds": {
            "while_it_runs": running,
            "finished": timed(lambda: read_study(address), times=3),
        },
        **reported(record),
    }


def reported(record: StudyRecord) -> dict[str, Any]:
    page = render_html(record)
    return {
        "report_json_seconds": timed(lambda: report_json(record), times=1),
        "report_html_seconds": timed(lambda: render_html(record), times=1),
        "report_html_mb": len(page.encode()) / 1e6,
    }


def queries() -> dict[str, dict[str, Any]]:
    """Return the queries of MLflow's UI: the first page of trials, the same sorted by a metric, and
    filtered by the metric of one language."""
    trials = "tags.`transfer_search.role` = 'trial'"
    return {
        "first_table_seconds": {"filter": trials, "order_by": ["attributes.start_time DESC"]},
        "sorted_by_zero_shot_mean_seconds": {
            "filter": trials,
            "order_by": ["metrics.`zero_shot_mean` DESC"],
        },
        "filtered_by_a_language_seconds": {
            "filter": f"{trials} AND metrics.`zero_shot.xnli.sw` > 0.5",
            "order_by": ["metrics.`zero_shot.xnli.sw` DESC"],
        },
    }


def ask(uri: str, *, filter: str, order_by: list[str]) -> Any:
    answer = post(f"{uri}/api/2.0/mlflow/experiments/search", {"max_results": 10})
    ids = [e["experiment_id"] for e in answer["experiments"] if e["name"] == EXPERIMENT]
    body = {"experiment_ids": ids, "filter": filter, "order_by": order_by, "max_results": 100}
    answer = post(f"{uri}/api/2.0/mlflow/runs/search", body)
    assert answer["runs"]
    return answer


def post(url: str, body: Any) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def timed(call: Callable[[], Any], times: int = 5) -> float:
    """Return the median seconds of a call."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return round(statistics.median(spent), 3)


def write(rows: list[TrialRow], record: RecordWriter) -> list[float]:
    """Write all trials and return the seconds until each trial's entries had arrived."""
    record.study_started(settings={"evaluation": {}}, digest="grown", versions={})
    baseline, seconds = None, []
    for row in rows:
        started = time.perf_counter()
        record.trial_started(
            row.number, params=row.params, plan=row.plan, phase_keys=row.phase_keys
        )
        baseline = baseline or Baselines.among([row]).of(row)
        record.trial_finished(row, baseline=baseline)
        assert record.outbox.deliver_all()
        seconds.append(time.perf_counter() - started)
    return seconds


def finish(rows: list[TrialRow], record: RecordWriter) -> None:
    summary = {"importance": {"target.learning_rate": 0.6}}
    record.study_finished(rows=rows, phases=[], summary=summary)
    assert record.outbox.deliver_all()


def drawn(num_trials: int, num_languages: int) -> list[TrialRow]:
    draw = random.Random(0)
    codes = [code for code in LANGUAGES if code != "en"]
    languages = ["en", "sw", *[code for code in codes if code != "sw"]][:num_languages]
    rows = []
    for number in range(num_trials):
        source, rate = INTERMEDIATES[number % len(INTERMEDIATES)], 10 ** draw.uniform(-5.5, -4.5)
        scores = Scores(targets=tuple(drawn_scores(task, languages, draw) for task in TASKS))
        params = {"intermediate": source or "none", "target.learning_rate": rate}
        rows.append(
            TrialRow(
                number=number,
                state=TrialState.SCORED,
                params=params,
                plan=plan(source, rate),
                phase_keys=tuple(f"{number:04d}{k}" * 8 for k in range(len(TASKS))),
                objective=objective(scores, SelectionRule.TARGET_DEV),
                scores=scores,
                seconds={"training": 100.0, "evaluation": 20.0, "startup": 0.0, "total": 121.0},
                num_reused=1,
            )
        )
    return rows


def plan(source: str | None, rate: float) -> TrialPlan:
    recipe = Recipe(num_steps=100, batch_size=32, max_length=128)

    def phase(source: Source) -> Phase:
        mixture = Mixture.of([(source, 1.0)])
        return Phase(mixture=mixture, learning_rate=rate, recipe=recipe, seed=0)

    targets = tuple(
        Target(
            task=task, phase=phase(SHIPPED.source(task.training_task.name)) if task.trains else None
        )
        for task in map(SHIPPED.get, TASKS)
    )
    return TrialPlan(
        encoder="xlmr",
        intermediate=phase(SHIPPED.source(source)) if source else None,
        targets=targets,
    )


@contextmanager
def served(folder: Path, uri: str | None) -> Iterator[str]:
    """Yield the address of an MLflow server: `uri`, or a new server on SQLite."""
    if uri is not None:
        yield uri
        return
    database = f"sqlite:///{folder / 'mlflow.db'}"
    prepare(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    line += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    line += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(line, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/health", server)
            yield address
        finally:
            server.terminate()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
