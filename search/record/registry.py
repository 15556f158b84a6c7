"""The model registry: owners of model names, versions, the champion, and their files."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from search.mlflow_view.labels import TAG
from search.record.mlflow_client import connect
from search.record.mlflow_models import LoggedModel
from search.record.mlmodel import ADDED, OUTCOMES
from spaces.refusal import Refusal, first_line, unknown
from trainables.scoring import outcomes
from trainables.scoring.outcomes import ByLanguage

CHAMPION = "champion"
SCHEME = "models:/"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version of a model in the registry.

    Attributes:
        name: name of the model.
        version: number of the version.
        model_id: id of its logged model.
        uri: URI that always loads this version, wherever the alias points later.
        location: URI of its files.
        tags: our own tags, without their prefix.
    """

    name: str
    version: str
    model_id: str
    uri: str
    location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The registered models of one MLflow server."""

    def __init__(self, client: Any, *, tracking_uri: str) -> None:
        self._client = client
        self._tracking_uri = tracking_uri

    @classmethod
    def open(cls, tracking_uri: str) -> "Registry":
        """Connect to the registry. Raises Refusal at once if no server answers."""
        return cls(connect(tracking_uri), tracking_uri=tracking_uri)

    def check_owner(self, name: str, study: str) -> None:
        """Refuse a model name that belongs to another study or that another program registered."""
        model = self._find(name)
        owner = model and model.tags.get(f"{TAG}study")
        if model is not None and owner != study:
            origin = (
                f"belongs to study {owner!r}" if owner else "was not registered by transfer-search"
            )
            raise Refusal(
                f"the registry already has a model {name!r}, which {origin}; rename that model in "
                "MLflow, or search under another name (`run --name`)"
            )

    def add(
        self, name: str, model: LoggedModel, study: str, tags: Mapping[str, str]
    ) -> RegisteredModel:
        """Return the version of this logged model; create it if it is missing. The alias does not
        move."""
        if self._find(name) is None:
            self._client.create_registered_model(name, tags={f"{TAG}study": study})
        self.check_owner(name, study)
        for version in self._versions(name).values():
            if version.location == model.location:
                return version
        # The source must not be `models:/<id>`: with SQLite, MLflow would look it up at the global
        # tracking address of the process, which is not this registry's address.
        created = self._client.create_model_version(
            name,
            model.location,
            run_id=model.run_id,
            tags={TAG + key: value for key, value in tags.items()},
            model_id=model.model_id,
            await_creation_for=30,
        )
        return _model(created)

    def champion(self, name: str) -> RegisteredModel | None:
        """Return the version that the alias points at; None if there is none yet."""
        model = self._find(name)
        number = None if model is None else model.aliases.get(CHAMPION)
        return None if number is None else self._versions(name)[str(number)]

    def versions(self, name: str) -> list[RegisteredModel]:
        """Return all versions of a model, oldest first; empty if there is no such model."""
        versions = self._versions(name).values() if self._find(name) is not None else ()
        return sorted(versions, key=lambda version: int(version.version))

    def outcomes(self, version: RegisteredModel) -> ByLanguage | None:
        """Return the outcomes of each test row for a version, by language; None if they were not
        stored or cannot be read."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with TemporaryDirectory(prefix="transfer-search-") as scratch:
            try:
                file = download_artifacts(
                    artifact_uri=f"{version.location}/{OUTCOMES}",
                    dst_path=None if version.location.startswith("file:") else scratch,
                    tracking_uri=self._tracking_uri,
                )
                return outcomes.read(Path(file))
            except (MlflowException, OSError, Refusal):
                return None

    def crown(self, model: RegisteredModel) -> None:
        """Point the alias at a version."""
        self._client.set_registered_model_alias(model.name, CHAMPION, model.version)

    def find(self, uri: str) -> RegisteredModel:
        """Return the version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` names. Raises
        Refusal if the URI has another form or there is no such version."""
        path = uri.removeprefix(SCHEME)
        name, separator, wanted = path.rpartition("@" if "@" in path else "/")
        if not uri.startswith(SCHEME) or not name or not wanted:
            raise Refusal(
                f"{uri!r} does not name a model; expected models:/NAME/VERSION or "
                f"models:/NAME@{CHAMPION}"
            )
        model = self._find(name)
        if model is None:
            names = [other.name for other in self._client.search_registered_models()]
            raise unknown("registered model", name, names)
        versions = self._versions(name)
        if separator == "@":
            if wanted not in model.aliases:
                raise unknown(f"alias of model {name!r}", wanted, model.aliases)
            wanted = str(model.aliases[wanted])
        if wanted not in versions:
            raise unknown(f"version of model {name!r}", wanted, versions)
        return versions[wanted]

    @contextlib.contextmanager
    def files(self, version: RegisteredModel) -> Iterator[Path]:
        """Yield a folder with the files of a version, which may be temporary.

        Raises Refusal if the files cannot be read, or are not those that were registered.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        title = f"version {version.version} of model {version.name!r}"
        with TemporaryDirectory(prefix="transfer-search-") as scratch:
            try:
                folder = Path(
                    download_artifacts(
                        artifact_uri=version.location,
                        dst_path=None if version.location.startswith("file:") else scratch,
                        tracking_uri=self._tracking_uri,
                    )
                )
            except (MlflowException, OSError) as error:
                line = first_line(error, empty="")
                raise Refusal(
                    f"the files of {title} cannot be read ({line}); restore MLflow's artifacts, or "
                    "run `retrain` again"
                ) from error
            expected = version.tags.get("sha256")
            if not folder.is_dir() or (expected and folder_digest(folder) != expected):
                raise Refusal(
                    f"the files of {title} are not those that were registered: some were changed "
                    "or deleted in MLflow's artifacts; restore them, or run `retrain` again"
                )
            yield folder

    def _find(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _versions(self, name: str) -> dict[str, RegisteredModel]:
        listed = self._client.search_model_versions(f"name = '{name}'")
        return {str(version.version): _model(version) for version in listed}


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and bytes of a folder's model files.

    Files that are only added for MLflow's loaders do not count. Raises Refusal if there are no
    model files.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in ADDED
    )
    if not files:
        raise Refusal(f"no model files in {folder}")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {part}\n".encode())
    return digest.hexdigest()


def _model(found: Any) -> RegisteredModel:
    """Convert MLflow's model version."""
    return RegisteredModel(
        name=found.name,
        version=str(found.version),
        model_id=found.model_id,
        uri=f"{SCHEME}{found.name}/{found.version}",
        location=found.source,
        tags={k.removeprefix(TAG): v for k, v in found.tags.items() if k.startswith(TAG)},
    )
