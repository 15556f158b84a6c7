"""The start of a search: every check, then the encoder, the rows and the databases."""

import threading
from dataclasses import dataclass

from search.addresses import refusing
from search.base_encoder import check_same, find_encoder
from search.callbacks import StartCallbacks
from search.cluster.ray_runtime import Cluster, max_concurrent_trials
from search.home import Home
from search.planning.plan import check_study
from search.planning.row_warnings import row_warnings, token_warnings
from search.preflight import check_places
from search.record.address import RecordAddress
from search.record.mlflow_client import prepare
from search.sampling.storage import check_database
from search.sampling.study import OptunaStudy
from search.sampling.warm_start import check_earlier
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder
from trainables.features.features import Data
from trainables.features.prepare import prepare as prepare_data
from trainables.formats.kinds import format_of_task
from trainables.rows.rows import Rows
from trainables.store.phase_store import PhaseStore
from trainables.store.stores import open_store, phase_store_address
from trainables.training.context import DATA, check_encoder
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.workers import num_cores

_NOT_COMPARABLE = (
    "(CHANGELOG.md says what changed): their scores are not comparable; finish it with the version "
    "that began it, or take another [study] name"
)
# Mark on a study: the versions of training and of scoring, and the digests of the encoder.
TRAINED_BY = "trained_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedStudy:
    """A study that may be searched: all checks have passed, and the stores are open.

    Attributes:
        cluster: where the trials run; None: a Ray of the run's own on this machine.
        max_concurrent: how many trials run at the same time.
        address: where the record is.
        phase_store: the address of the object store for phases, resolved here for the driver and
            its workers; None: the home folder alone.
        encoder: the folder (or hub name) that the study's encoder stands for.
        warnings: what a reader of the scores should know about rows and tokens.
        optuna: the study in Optuna's database.
    """

    settings: StudySettings
    home: Home
    cluster: Cluster | None
    max_concurrent: int
    address: RecordAddress
    phase_store: str | None
    encoder: str
    base: BaseEncoder
    rows: Rows
    warnings: tuple[str, ...]
    store: PhaseStore
    optuna: OptunaStudy

    @property
    def data(self) -> Data:
        """The tokenised rows."""
        return Data(self.home.path / DATA, self.base, self.rows)


def start_study(
    settings: StudySettings, home: Home, cluster: Cluster | None, callbacks: StartCallbacks
) -> StartedStudy:
    """Check everything that can be checked before training, then open what the search needs.

    Nothing is written before the checks of the study, the places and the machine have passed; then
    the encoder is made if it has to be, the rows are tokenised and the databases are created.

    Raises:
        Refusal: the study cannot run here.
    """
    _check_thread()
    check_study(settings)
    address = RecordAddress.of(settings, home)
    phase_store = phase_store_address(settings.resources.phase_store)
    check_places(home, tracking_uri=address.tracking_uri, phase_store=phase_store)
    check_database(home.optuna_url(settings))
    check_earlier(home.optuna_url(settings), settings)
    max_concurrent = max_concurrent_trials(settings, home, cluster)
    with home.made():
        encoder = find_encoder(settings, home, on_step=callbacks.on_pretrained)
        base, rows, warnings = _prepare(settings, home, encoder, callbacks)
        store = open_store(home.path, owner=settings.study.name, address=phase_store)
        optuna = OptunaStudy.open(home.optuna_url(settings), settings)
        check_version(optuna, settings)
        check_trained_on(optuna, settings, base, folder=encoder)
        with refusing():
            prepare(address.tracking_uri)
    return StartedStudy(
        settings=settings,
        home=home,
        cluster=cluster,
        max_concurrent=max_concurrent,
        address=address,
        phase_store=phase_store,
        encoder=encoder,
        base=base,
        rows=rows,
        warnings=warnings,
        store=store,
        optuna=optuna,
    )


def check_version(study: OptunaStudy, settings: StudySettings) -> None:
    """Refuse to continue a study whose trials were trained or scored by another version: their
    scores would not be comparable with those of the trials to come. A finished study only has to be
    shown."""
    if not 0 < study.history.num_counted < settings.budget.num_trials:
        return
    mark = study.read_mark(TRAINED_BY) or {"training_version": 1}
    version, name = mark["training_version"], settings.study.name
    if version != TRAINING_VERSION:
        raise Refusal(
            f"study {name!r} was begun with training version {version}, and this program trains by "
            f"version {TRAINING_VERSION} {_NOT_COMPARABLE}"
        )
    scored_by = mark.get("scoring_versions", {})
    for task, version in scoring_versions(settings).items():
        if (earlier := scored_by.get(task, 1)) != version:
            raise Refusal(
                f"study {name!r} was begun with scoring version {earlier} of target {task!r}, and "
                f"this program scores it by version {version} {_NOT_COMPARABLE}"
            )


def check_trained_on(
    study: OptunaStudy, settings: StudySettings, base: BaseEncoder, *, folder: str
) -> None:
    """Refuse to continue a study with another encoder than it was begun with, for the same reason.
    Studies of earlier versions have no digests of theirs."""
    mark = (study.read_mark(TRAINED_BY) or {}) if study.history.num_counted else {}
    check_same(base, mark.get("encoder", {}), folder=folder, of=f"study {settings.study.name!r}")


def scoring_versions(settings: StudySettings) -> dict[str, int]:
    """Target -> the version of its main metric."""
    return {task.name: format_of_task(task).scoring_version(task) for task in settings.targets}


def _check_thread() -> None:
    """Python delivers signals to the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        raise Refusal(
            "a search was started in another thread than the main one, where it cannot handle "
            "Ctrl-C and SIGTERM; start it in the main thread of its process"
        )


def _prepare(
    settings: StudySettings, home: Home, encoder: str, callbacks: StartCallbacks
) -> tuple[BaseEncoder, Rows, tuple[str, ...]]:
    """The encoder, the rows (tokenised by then), and warnings about both."""
    base = BaseEncoder.load(
        encoder, revision=settings.study.revision, text_prefix=settings.study.text_prefix or ""
    )
    check_encoder(settings, base)
    rows = Rows.of(settings)
    data = Data(home.path / DATA, base, rows)
    prepare_data(settings, data, num_processes=num_cores(), on_done=callbacks.on_prepared)
    of_rows = row_warnings(settings, rows, on_done=callbacks.on_checked)
    return base, rows, (*of_rows, *token_warnings(settings, data))
