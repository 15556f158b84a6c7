"""gc: remove the phases that nothing in the record needs any more from the phase store.

Mark and sweep: phases that trials and retrains in MLflow list are kept, with the phases that these
start from. The others are removed unless they are younger than a day. Nothing is removed while a
study of this home is being searched.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from search.addresses import check_reachable, refusing, sqlite_url
from search.fence import MARK, Mark, driver_of, sign_of_life
from search.home import Home
from search.outbox.outbox import Outbox
from search.record.address import ExperimentAddress
from search.record.mlflow_client import list_experiments
from search.record.reader import StudyRecord, held_phase_keys, list_studies, read_study
from search.sampling.study import read_marks
from search.trials.ranking import best_baseline, ranked
from spaces.refusal import Refusal
from trainables.store.stores import open_store, phase_store_address

YOUNG_SECONDS = 24 * 3600.0  # a study elsewhere may have trained the phase for its next trial


@dataclass(frozen=True, slots=True)
class Sweep:
    """The names and the size in bytes of what was removed (or would be), and how many stay: those
    that the record needs, and those younger than a day."""

    removed: tuple[str, ...]
    num_bytes: int
    num_held: int
    num_young: int


def sweep(
    home: Home,
    *,
    tracking_uri: str,
    phase_store: str | None = None,
    keep_best: int | None = None,
    dry_run: bool = False,
) -> Sweep:
    """Remove everything that the record does not need and that is older than a day.

    Args:
        tracking_uri: the record of all studies of this home; all its experiments count.
        phase_store: the address of the object store that the home is a cache of, swept by the same
            rules; None: that of TRANSFER_SEARCH_PHASE_STORE, if it is set.
        keep_best: for every finished study, keep only this many best trials, the best baseline and
            all retrains; None keeps all trials.
        dry_run: remove nothing, only report what would be removed.

    Raises:
        Refusal: a study is being searched, or the record is unreachable, empty or incomplete.
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
    # The tensors that a phase shares stay as long as the phase, whatever its reason to stay.
    stay = (e for e in stored if e.key in held or now - e.changed <= YOUNG_SECONDS)
    held |= {entry.shares for entry in stay if entry.shares is not None}
    loose = [entry for entry in stored if entry.key not in held]
    old = [entry for entry in loose if now - entry.changed > YOUNG_SECONDS]
    if not dry_run:
        for entry in old:
            store.remove(entry)
    return Sweep(
        removed=tuple(entry.name for entry in old),
        num_bytes=sum(entry.num_bytes for entry in old),
        num_held=len(stored) - len(loose),
        num_young=len(loose) - len(old),
    )


def _refuse_live(home: Home) -> None:
    """Refuse if a study whose trials are in this home's own database is being run. The mark of a
    driver on another host is watched for a while: see `fence`."""
    database = home.path / "optuna.db"

    def marks() -> Mapping[str, Mark]:
        return read_marks(sqlite_url(database), MARK) if database.exists() else {}

    for study, mark in marks().items():
        if sign_of_life(study, partial(_mark_of, study, marks)):
            raise Refusal(
                f"study {study!r} is being run by {driver_of(mark)}, which may need its phases; "
                "wait for it, or stop it (`run` continues later)"
            )


def _mark_of(study: str, marks: Callable[[], Mapping[str, Mark]]) -> Mark | None:
    return marks().get(study)


def _refuse_waiting(home: Home) -> None:
    """Refuse if entries wait that a driver could not send to MLflow: they list phases too."""
    for path in sorted(home.outbox("").parent.glob("*.jsonl")):
        if Outbox(path, lambda record: None).pending:
            raise Refusal(
                f"records of study {path.stem!r} wait for MLflow; send them with "
                f"`report {path.stem}`, then try again"
            )


def _held(experiments: Sequence[str], tracking_uri: str, keep_best: int | None) -> set[str]:
    """The keys of the phases that trials and retrains of all experiments list."""
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
            "the record holds no study, so every phase would be removed; if this is not the record "
            "of this home, name the right one with --tracking-uri"
        )
    return held


def _best_keys(record: StudyRecord, keep_best: int) -> set[str]:
    """The phases of a finished study's best trials, best baseline and retrains; of all trials while
    the study is not finished."""
    rows = list(record.rows)
    if record.state == "finished":
        baseline = best_baseline(rows)
        rows = [*ranked(rows)[:keep_best], *([baseline] if baseline else [])]
    searched = {key for row in rows for key in row.phase_keys}
    return searched | {key for row in record.retrains for key in row.phase_keys}
