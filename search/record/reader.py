"""The record of a study in MLflow, read back into rows. `writer` writes it."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from search.addresses import refusing
from search.mlflow_view.labels import PHASE, RETRAIN, RETRAIN_RUN, STUDY, TRIAL
from search.record import entries
from search.record.address import ExperimentAddress, RecordAddress
from search.record.mlflow_client import Tracker, open_tracker
from search.record.mlflow_runs import Run
from search.recorded_settings import RecordedSettings, describing
from search.trials.feasibility import judge_all
from search.trials.ranking import PhaseRow, TrialRow, TrialState, seen_languages
from spaces.phases import TrialPlan
from spaces.refusal import Refusal, unknown
from spaces.tasks.catalogue import Catalogue
from trainables.scoring import outcomes
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores

_FILES: Mapping[str, str] = {
    TRIAL: "trial.json",
    PHASE: "phase.json",
    RETRAIN: "summary.json",
    RETRAIN_RUN: "retrain.json",
}
_MAX_DOWNLOADS = 8


class RetrainRole(StrEnum):
    """What a run of a retrain trains: the chosen plan; the best baseline of the search; the chosen
    plan's own target phases without its intermediate one."""

    WINNER = "winner"
    BASELINE = "baseline"
    TWIN = "twin"


WINNER, BASELINE, TWIN = RetrainRole


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRow:
    """One run of a retrain: one role with one fresh seed, scored on the test split.

    `validation` are the scores that choose between the winner's seeds. `lock` is the digest of what
    the run is made of (empty in older records): runs with different locks belong to different
    retrains.
    """

    name: str
    seed: int
    role: RetrainRole
    state: TrialState
    plan: TrialPlan
    phase_keys: tuple[str, ...]
    scores: Scores | None
    reason: str | None
    validation: Scores | None = None
    lock: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """A study as MLflow has it. `state` is `running` until the driver closed it; `summary` is what
    was judged then, as it is stored."""

    name: str
    state: str
    digest: str
    settings: RecordedSettings
    rows: tuple[TrialRow, ...]
    phases: tuple[PhaseRow, ...]
    summary: Mapping[str, JsonValue]
    retrains: tuple[RetrainRow, ...]
    warnings: tuple[str, ...] = ()
    world: Mapping[str, Any] = field(default_factory=dict)  # what it trained on (lock.world_facts)
    versions: Mapping[str, str] = field(default_factory=dict)  # of packages, when it last started
    retrain_summaries: tuple[Mapping[str, Any], ...] = ()

    def seen_test_rows(self, row: TrialRow) -> dict[str, list[str]]:
        """Target -> the languages whose test rows are the rows that chose the trial; none where the
        study cuts single evaluation splits in halves."""
        evaluation = self.settings.evaluation
        if evaluation.halves:
            return {}
        return seen_languages(row, evaluation.selection, pivot_languages=evaluation.pivot_languages)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyListing:
    """One line of a list of studies."""

    name: str
    state: str
    digest: str
    started: datetime
    best_trial: int | None


def list_studies(experiment: ExperimentAddress) -> tuple[StudyListing, ...]:
    """All studies of an experiment, the latest first. Raises Refusal where MLflow is away."""
    with refusing():
        runs = open_tracker(experiment).find(role=STUDY)
    return tuple(
        StudyListing(
            name=run.tags["study"],
            state=_state(run),
            digest=run.tags.get("digest", ""),
            started=datetime.fromtimestamp(run.started / 1000, UTC),
            best_trial=int(run.tags["best_trial"]) if "best_trial" in run.tags else None,
        )
        for run in reversed(runs)
    )


def study_run(tracker: Tracker, address: RecordAddress) -> Run:
    """The run of a study. Raises Refusal where the experiment has no such study."""
    for run in tracker.find(address.study, role=STUDY):
        return run
    known = {run.tags["study"] for run in tracker.find(role=STUDY)}
    raise unknown(f"study in MLflow experiment {address.experiment.name!r}", address.study, known)


def read_study(address: RecordAddress) -> StudyRecord:
    """The whole record of a study. Raises Refusal: an unknown study, or MLflow is away."""
    with refusing():
        tracker = open_tracker(address.experiment)
        of_study = study_run(tracker, address)
        contents = _read_runs(tracker, of_study)
        settings = tracker.read_json(of_study, "settings.json")
        summary = tracker.read_json(of_study, "summary.json")
        warned = tracker.read_json(of_study, "warnings.json") or {}
        world = tracker.read_json(of_study, "world.json") or {}
    if settings is None and of_study.status == "FINISHED":
        raise _gone(of_study, "settings.json")
    where = f"the record of study {address.study!r}"
    recorded = RecordedSettings.parse(settings or {}, where=where)
    with describing(where):
        rows = [TrialRow.from_dict(data, recorded.catalogue) for data in contents[TRIAL]]
        retrains = [_retrain_from_dict(data, recorded.catalogue) for data in contents[RETRAIN_RUN]]
    return StudyRecord(
        name=address.study,
        state=_state(of_study),
        digest=of_study.tags.get("digest", ""),
        settings=recorded,
        rows=judge_all(sorted(rows, key=lambda row: row.number), recorded.evaluation),
        phases=tuple(PhaseRow.from_dict(data["row"]) for data in contents[PHASE]),
        summary=summary or {},
        retrains=tuple(retrains),
        warnings=tuple(warned.get("warnings", ())),
        world=world,
        versions={
            name.removeprefix("version."): value
            for name, value in of_study.tags.items()
            if name.startswith("version.")
        },
        retrain_summaries=tuple(contents[RETRAIN]),
    )


def read_outcomes(address: RecordAddress, labels: Mapping[str, str]) -> dict[str, ByLanguage]:
    """Target -> the outcome of each row, of the study's run with these labels; empty where it was
    not stored. Raises Refusal where MLflow is away, or a file is damaged."""
    with refusing(), tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        tracker = open_tracker(address.experiment)
        files = [
            file
            for run in tracker.find(address.study, **labels)[:1]
            for file in tracker.fetch(run, entries.OUTCOMES, Path(folder))
        ]
        return {file.stem: outcomes.read(file) for file in files}


def held_phase_keys(experiment: ExperimentAddress) -> frozenset[str]:
    """The keys of the phases that a trial or a retrain of the experiment lists: `gc` may remove the
    other phases."""
    with refusing():
        tracker = open_tracker(experiment)
        runs = [
            *tracker.find(role=TRIAL),
            *tracker.find(role=RETRAIN_RUN),
        ]
    return frozenset(key for run in runs for key in run.tags.get("phases", "").split(",") if key)


def _state(run: Run) -> str:
    return "finished" if run.status == "FINISHED" else "running"


def _read_runs(tracker: Tracker, of_study: Run) -> dict[str, list[Any]]:
    """What the runs of a study hold, by role. Of a study that has ended, trials and phases stand in
    one file: MLflow finds a thousand runs in the better part of a minute."""
    study = of_study.tags["study"]
    rows = tracker.read_json(of_study, entries.ROWS) if of_study.status == "FINISHED" else None
    if rows is None:
        return _read_all(tracker, tracker.find(study))
    roles = (RETRAIN, RETRAIN_RUN)
    retrains = _read_all(tracker, [run for role in roles for run in tracker.find(study, role=role)])
    phases = [{"row": row} for row in rows["phases"]]
    return {**retrains, TRIAL: rows["trials"], PHASE: phases}


def _read_all(tracker: Tracker, runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What the runs hold, by role; one that was cut off before it had its file is left out.

    Raises Refusal where a run that has ended has no file: it was deleted, or cannot be reached.
    """
    wanted = [(run, _FILES[run.tags["role"]]) for run in runs if run.tags["role"] in _FILES]
    with ThreadPoolExecutor(_MAX_DOWNLOADS) as pool:
        read = list(pool.map(lambda pair: tracker.read_json(*pair), wanted))
    contents: dict[str, list[Any]] = {role: [] for role in _FILES}
    for (run, file), content in zip(wanted, read, strict=True):
        if content is not None:
            contents[run.tags["role"]].append(content)
        elif run.status != "RUNNING":
            raise _gone(run, file)
    return contents


def _gone(run: Run, file: str) -> Refusal:
    return Refusal(
        f"run {run.run_id} of study {run.tags['study']!r} has ended, but its {file} is not among "
        "MLflow's artifacts: restore them, or delete the run"
    )


def _retrain_from_dict(data: Mapping[str, Any], catalogue: Catalogue) -> RetrainRow:
    return RetrainRow(
        name=data["name"],
        seed=data["seed"],
        role=RetrainRole(data["role"]),
        state=TrialState(data["state"]),
        plan=TrialPlan.from_dict(data["plan"], catalogue),
        phase_keys=tuple(data["phase_keys"]),
        scores=Scores.from_dict(data["scores"]) if data["scores"] else None,
        reason=data["reason"],
        validation=Scores.from_dict(data["validation"]) if data.get("validation") else None,
        lock=data.get("lock", ""),
    )
