"""The model registry: which study owns a name, its versions, its champion, and their files."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from search.record.mlflow_client import connect
from search.record.mlflow_models import LoggedModel
from search.record.mlflow_runs import TAG
from search.record.mlmodel import ADDED, OUTCOMES
from spaces.refusal import Refusal, first_line, unknown
from trainables.scoring import outcomes
from trainables.scoring.outcomes import ByLanguage

CHAMPION = "champion"
SCHEME = "models:/"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A version in the model registry; `uri` loads it whatever the alias points at later.

    `location` is where its files lie; `tags` are ours, without their prefix.
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
        """Raises Refusal at once where nobody answers."""
        return cls(connect(tracking_uri), tracking_uri=tracking_uri)

    def check_owner(self, name: str, study: str) -> None:
        """Refuse a name that is the name of another study's model."""
        known = self._find(name)
        owner = known and known.tags.get(f"{TAG}study")
        if known is not None and owner != study:
            whose = (
                f"belongs to study {owner!r}" if owner else "was not registered by transfer-search"
            )
            raise Refusal(
                f"the registry has a model {name!r} already, which {whose}: rename that one in "
                "MLflow, or search under another name (`run --name`)"
            )

    def add(
        self, name: str, model: LoggedModel, study: str, tags: Mapping[str, str]
    ) -> RegisteredModel:
        """The version that is this logged model, made where it is missing; the alias stays."""
        if self._find(name) is None:
            self._client.create_registered_model(name, tags={f"{TAG}study": study})
        self.check_owner(name, study)
        for known in self._versions(name).values():
            if known.location == model.location:
                return known
        # Not `models:/<id>` as the source: on SQLite, MLflow looks that up at the address of the
        # process, which is not ours.
        made = self._client.create_model_version(
            name,
            model.location,
            run_id=model.run_id,
            tags={TAG + key: value for key, value in tags.items()},
            model_id=model.model_id,
            await_creation_for=30,
        )
        return _model(made)

    def champion(self, name: str) -> RegisteredModel | None:
        """The version that the alias points at; None where there is none yet."""
        model = self._find(name)
        number = None if model is None else model.aliases.get(CHAMPION)
        return None if number is None else self._versions(name)[str(number)]

    def versions(self, name: str) -> list[RegisteredModel]:
        """All of a model, the oldest first; none where there is no such model."""
        versions = self._versions(name).values() if self._find(name) is not None else ()
        return sorted(versions, key=lambda version: int(version.version))

    def outcomes(self, version: RegisteredModel) -> ByLanguage | None:
        """What each test row got of a version, by language; None where it was not kept, or cannot
        be read."""
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
        """The version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` names."""
        path = uri.removeprefix(SCHEME)
        name, mark, wanted = path.rpartition("@" if "@" in path else "/")
        if not uri.startswith(SCHEME) or not name or not wanted:
            raise Refusal(f"{uri!r}: expected models:/NAME/VERSION or models:/NAME@{CHAMPION}")
        model = self._find(name)
        if model is None:
            known = [each.name for each in self._client.search_registered_models()]
            raise unknown("registered model", name, known)
        versions = self._versions(name)
        if mark == "@":
            if wanted not in model.aliases:
                raise unknown(f"alias of model {name!r}", wanted, model.aliases)
            wanted = str(model.aliases[wanted])
        if wanted not in versions:
            raise unknown(f"version of model {name!r}", wanted, versions)
        return versions[wanted]

    @contextlib.contextmanager
    def files(self, version: RegisteredModel) -> Iterator[Path]:
        """A folder with the files of a version, as long as it is needed. Raises Refusal where they
        are gone, or are not those that were registered."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        what = f"version {version.version} of model {version.name!r}"
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
                    f"the files of {what} cannot be read ({line}): restore MLflow's artifacts, or "
                    "`retrain` the study again"
                ) from error
            expected = version.tags.get("sha256")
            if not folder.is_dir() or (expected and folder_digest(folder) != expected):
                raise Refusal(
                    f"the files of {what} are not those that were registered: some were changed or "
                    "deleted in MLflow's artifacts; restore them, or `retrain` the study again"
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
        found = self._client.search_model_versions(f"name = '{name}'")
        return {str(version.version): _model(version) for version in found}


def folder_digest(folder: Path) -> str:
    """Of names and bytes of all files of a model folder, but for what MLflow's loaders need."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in ADDED
    )
    if not files:
        raise Refusal(f"no model files in {folder}")
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {part}\n".encode())
    return whole.hexdigest()


def _model(found: Any) -> RegisteredModel:
    return RegisteredModel(
        name=found.name,
        version=str(found.version),
        model_id=found.model_id,
        uri=f"{SCHEME}{found.name}/{found.version}",
        location=found.source,
        tags={k.removeprefix(TAG): v for k, v in found.tags.items() if k.startswith(TAG)},
    )
