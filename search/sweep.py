"""gc: the phases that nothing in the record needs any more are removed from the phase store.

Mark and sweep: what trials and retrains in MLflow list is kept, with the phases they start from;
the rest goes, unless it is young. Nothing is removed while a study of this home is being searched.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from search.addresses import check_reachable, refusing
from search.fence import MARK, driver_of, sign_of_life
from search.home import Home
from search.record.address import ExperimentAddress
from search.record.mlflow_client import list_experiments
from search.record.outbox import Outbox
from search.record.reader import StudyRecord, held_phase_keys, list_studies, read_study
from search.sampling.study import read_marks
from search.trials.ranking import best_baseline, ranked
from spaces.refusal import Refusal
from trainables.store.stores import open_store, phase_store_address

YOUNG_SECONDS = 24 * 3600.0  # a study elsewhere may have trained it for a trial to come


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was removed (or would be), and what stays. Sizes in bytes."""

    removed: tuple[str, ...]
    num_bytes: int
    num_held: int
    num_young: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def sweep(
    home: Home,
    *,
    tracking_uri: str,
    phase_store: str | None = None,
    keep_best: int | None = None,
    dry_run: bool = False,
) -> Sweep:
    """Remove what is not held and older than a day.

    Args:
        tracking_uri: where the record of all studies of this home is; all its experiments count.
        phase_store: the address of an object store whose cache the home is, swept by the same
            rules; None: that of TRANSFER_SEARCH_PHASE_STORE, if it is set.
        keep_best: of every finished study, hold this many best trials, the best baseline and all
            retrains alone; None: all trials.
        dry_run: only say what would go.

    Raises:
        Refusal: a study is being searched, or the record is away, empty or incomplete.
    """
    if keep_best is not None and keep_best < 1:
        raise Refusal(f"gc holds {keep_best} best trials; expected 1 or more (--keep-best)")
    _refuse_live(home)
    check_reachable(tracking_uri)
    with refusing():
        experiments = list_experiments(tracking_uri)
    _refuse_waiting(home)
    held = _held(experiments, tracking_uri, keep_best)
    store = open_store(home.path, owner="gc", address=phase_store_address(phase_store))
    stored, now = store.stored(), time.time()
    loose = [one for one in stored if one.key not in held]
    old = [one for one in loose if now - one.changed > YOUNG_SECONDS]
    if not dry_run:
        for one in old:
            store.remove(one)
    return Sweep(
        removed=tuple(one.name for one in old),
        num_bytes=sum(one.num_bytes for one in old),
        num_held=len(stored) - len(loose),
        num_young=len(loose) - len(old),
    )


def _refuse_live(home: Home) -> None:
    """Of the studies whose trials are in this home's own database. The mark of a driver on another
    host is watched for a while: see `fence`."""
    database = home.path / "optuna.db"

    def standing() -> dict[str, dict[str, Any]]:
        return read_marks(f"sqlite:///{database}", MARK) if database.exists() else {}

    for study, mark in standing().items():
        if sign_of_life(study, partial(_get, standing, study)):
            raise Refusal(
                f"study {study!r} is being run by {driver_of(mark)}: its "
                "phases may be needed; wait for it, or stop it (`run` goes on later)"
            )


def _get(standing: Callable[[], Mapping[str, dict[str, Any]]], study: str) -> dict[str, Any] | None:
    return standing().get(study)


def _refuse_waiting(home: Home) -> None:
    """What an ended driver could not send yet holds phases too."""
    for path in sorted(home.outbox("").parent.glob("*.jsonl")):
        if Outbox(path, lambda record: None).pending:
            raise Refusal(
                f"records of study {path.stem!r} wait for MLflow: `report {path.stem}` sends them; "
                "then try again"
            )


def _held(experiments: Sequence[str], tracking_uri: str, keep_best: int | None) -> set[str]:
    """Keys that trials and retrains of all experiments list."""
    held, num_studies = set[str](), 0
    for experiment in experiments:
        address = ExperimentAddress(tracking_uri, experiment)
        studies = list_studies(address)
        num_studies += len(studies)
        if keep_best is None:
            held |= held_phase_keys(address)
            continue
        for study in studies:
            held |= _best_keys(read_study(address.for_study(study.name)), keep_best)
    if not num_studies:
        raise Refusal(
            "the record holds no study, so that every phase would go: is it the one that belongs "
            "to this home? --tracking-uri names another"
        )
    return held


def _best_keys(record: StudyRecord, keep_best: int) -> set[str]:
    """Phases of the best trials and the best baseline; of all trials while it is not finished."""
    rows = list(record.rows)
    if record.state == "finished":
        baseline = best_baseline(rows)
        rows = [*ranked(rows)[:keep_best], *([baseline] if baseline else [])]
    searched = {key for row in rows for key in row.phase_keys}
    return searched | {key for row in record.retrains for key in row.phase_keys}
