"""Where a record is: the experiment of an MLflow server, and one study in it.

Both are values. An address may contain a password: `repr` hides it, and a value with a password
refuses to be pickled, so that it never reaches a worker or a disk.
"""

from dataclasses import dataclass
from typing import Any

from search.home import Home
from spaces.redaction import has_secret, hide_address, remember
from spaces.study_file.sections import TrackingSection
from spaces.study_file.study import StudySettings

EXPERIMENT = str(TrackingSection.model_fields["experiment"].default)


@dataclass(frozen=True, slots=True, repr=False)
class ExperimentAddress:
    """An experiment of MLflow: what one study, or several of them, are recorded in.

    Attributes:
        tracking_uri: the address of an MLflow server, or `sqlite:///PATH`.
        name: the name of the experiment.
    """

    tracking_uri: str
    name: str = EXPERIMENT

    def __post_init__(self) -> None:
        remember(self.tracking_uri)

    @classmethod
    def of(cls, settings: StudySettings | None, home: Home) -> "ExperimentAddress":
        """The experiment of a study's settings; without settings, the default experiment. The
        address of MLflow is resolved by `Home.mlflow_uri`."""
        tracking = settings.tracking if settings else TrackingSection()
        return cls(home.mlflow_uri(settings), tracking.experiment)

    def for_study(self, study: str) -> "RecordAddress":
        """The address of the record of a study in this experiment."""
        return RecordAddress(self, study)

    def __repr__(self) -> str:
        uri = hide_address(self.tracking_uri)
        return f"ExperimentAddress(tracking_uri={uri!r}, name={self.name!r})"

    def __getstate__(self) -> Any:
        if has_secret(self.tracking_uri):
            raise TypeError(
                "an address with a password stays in the driver: it is neither sent to a worker "
                "nor written to disk"
            )
        return [self.tracking_uri, self.name]


@dataclass(frozen=True, slots=True)
class RecordAddress:
    """The record of one study: its experiment of MLflow, and the study's name in it."""

    experiment: ExperimentAddress
    study: str

    @classmethod
    def of(cls, settings: StudySettings, home: Home) -> "RecordAddress":
        """Where a run with these settings writes its record."""
        return ExperimentAddress.of(settings, home).for_study(settings.study.name)

    @classmethod
    def find(
        cls,
        study: str,
        home: Home,
        *,
        experiment: str | None = None,
        tracking_uri: str | None = None,
    ) -> "RecordAddress":
        """The record of a study that was run.

        Args:
            study: its name, or its TOML file, which names the study, the experiment and MLflow.
            home: the home folder of the run.
            experiment: overrides the experiment of the file, or the default one.
            tracking_uri: overrides the address of MLflow.

        Raises:
            Refusal: the file cannot be read, or is no study.
        """
        settings = StudySettings.load(study) if study.endswith(".toml") else None
        default = ExperimentAddress.of(settings, home)
        named = ExperimentAddress(tracking_uri or default.tracking_uri, experiment or default.name)
        return named.for_study(settings.study.name if settings else study)

    @property
    def tracking_uri(self) -> str:
        """The address of MLflow."""
        return self.experiment.tracking_uri
