"""Raw rows of data sets in the hub's layout: from the hub, or from a folder (a data root).

Both are read through `datasets` and give the same rows. Rows of a folder are read from its Parquet
files each time and never from a cache, because a cache would miss changes to the files. Rows of the
hub belong to a commit: once they are in the cache, the hub is not asked again.
"""

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from glob import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from spaces.refusal import Refusal, first_line
from trainables.encoder_files import READ, fault_on_hub
from trainables.row_files.class_labels import with_names
from trainables.rows.cards import CARD, configs, default_config, find_folder

_COMMIT = re.compile("[0-9a-f]{40}")
_BUSY = (408, 429, 500, 502, 503, 504)  # the hub's status codes for a request to be repeated later


class NoRowsError(Refusal):
    """The data set exists, but this config or split of it does not, or it has no rows."""


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows as the hub has them, with class labels by name. `commit` is "" for rows of a folder."""

    rows: list[dict[str, Any]]
    commit: str


def raw_rows(
    dataset: str, config: str | None, split: str, *, revision: str | None, data_root: str | None
) -> RawRows:
    """All rows of one split.

    Raises:
        NoRowsError: there is no such config or split.
        Refusal: the data set does not exist, cannot be reached or cannot be read.
    """
    rows, features, commit = _read(dataset, config, split, revision, data_root)
    return RawRows(with_names(rows, features), commit)


def copy_split(
    dataset: str,
    config: str | None,
    split: str,
    target: Path,
    *,
    revision: str | None,
    data_root: str | None,
) -> str:
    """Write one split as a Parquet file that holds its features, label names included.

    Returns the commit that it was read from. Raises as `raw_rows` does.
    """
    import datasets

    rows, features, commit = _read(dataset, config, split, revision, data_root)
    target.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(target)
    return commit


def _read(
    dataset: str, config: str | None, split: str, revision: str | None, data_root: str | None
) -> tuple[list[dict[str, Any]], Any, str]:
    """The rows as they are stored, their features, and the commit ("" for a folder)."""
    folder = find_folder(dataset, data_root)
    if folder is None:
        builder = _hub_builder(dataset, config, revision)
    else:
        builder = _builder(dataset, config, str(folder.resolve()), None)
    name = f"data set {dataset!r}, config {builder.config.name!r}"
    splits = list(builder.config.data_files or builder.info.splits or ())
    if split not in splits:
        raise NoRowsError(f"{name} has no split {split!r}, only {', '.join(map(repr, splits))}")
    with _refusing(f"{name}, split {split!r}"):
        if folder is None:
            builder.download_and_prepare(verification_mode="no_checks")
            dataset_split = builder.as_dataset(split=split)
            rows = dataset_split.to_list()
        else:
            dataset_split = builder.as_streaming_dataset(split=split)
            rows = list(dataset_split)
    commit = builder.hash or ""
    is_commit = folder is None and _COMMIT.fullmatch(commit)
    return rows, dataset_split.features, commit if is_commit else ""


def fetch_encoder(name: str, revision: str | None) -> Path:
    """Fill the hub's cache with an encoder: config, tokenizer, safetensors. Returns its folder
    there, whose name is the commit. Raises Refusal where it cannot be fetched."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(READ)))
    except (OSError, ValueError) as error:
        raise Refusal(f"encoder {name!r} cannot be fetched: {first_line(error)}") from error
    fault = None if any(folder.glob("*.safetensors")) else fault_on_hub(name, revision)
    if fault is not None:
        raise Refusal(f"encoder {name!r} {fault}")
    return folder


def cached_encoder(name: str, revision: str | None) -> Path | None:
    """The folder of an encoder in the hub's cache that can be loaded; None where it is not
    complete. The hub is not asked."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None
    is_whole = (folder / "config.json").exists() and any(folder.glob("*.safetensors"))
    return folder if is_whole else None


def _hub_builder(dataset: str, config: str | None, revision: str | None) -> Any:
    """A builder of the rows at exactly the commit of a revision: where the hub cannot be reached,
    `datasets` would read any commit that is in the cache."""
    pinned = revision if revision and _COMMIT.fullmatch(revision) else None
    with _refusing(f"data set {dataset!r}" + (f", revision {pinned!r}," if pinned else "")):
        cached = _in_cache(dataset, config, pinned) if pinned else None
        if cached is not None:
            return cached
        try:
            commit = _commit_of(dataset, revision)
        except ConnectionError:
            names = [entry["config_name"] for entry in configs(dataset, pinned)]
            if names and config is not None and config not in names:
                raise _no_config(dataset, config) from None
            cached = None if pinned else _in_cache(dataset, config, "*")
            if cached is None:
                raise
            return cached
        return _in_cache(dataset, config, commit) or _builder(dataset, config, dataset, commit)


def _in_cache(dataset: str, config: str | None, commit: str) -> Any:
    """A builder of a config at a commit that was prepared before; for commit `*` the latest one."""
    import datasets
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    owner, _, name = dataset.rpartition("/")
    root = Path(datasets.config.HF_DATASETS_CACHE) / f"{owner}___{camelcase_to_snakecase(name)}"
    infos = root.glob(f"{escape(config) if config else '*'}/*/{commit}/dataset_info.json")
    for info in sorted(infos, key=lambda path: path.stat().st_mtime, reverse=True):
        prepared, version, prepared_commit = info.parts[-4:-1]
        if prepared == (config or default_config(dataset, prepared_commit)):
            options = {"config_name": prepared, "version": version, "hash": prepared_commit}
            return Cache(repo_id=dataset, dataset_name=name, **options)
    return None


@lru_cache(maxsize=64)
def _commit_of(dataset: str, revision: str | None) -> str:
    """The commit of a revision, from the hub. It is asked once, in one request: the client's own
    retries take minutes where nothing answers.

    Raises:
        ConnectionError: nothing answers, or the answer is unusable.
        Refusal: the hub denies access or has no such revision.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    url = hf_hub_url(dataset, CARD, repo_type="dataset", revision=revision)
    try:
        commit = get_hf_file_metadata(url).commit_hash
    except errors.RemoteEntryNotFoundError as error:  # a data set without a card
        commit = error.response.headers.get("X-Repo-Commit")
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError("HF_HUB_OFFLINE is set") from error
    except errors.RevisionNotFoundError as error:
        raise Refusal(f"data set {dataset!r} has no revision {revision!r} on the hub") from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in _BUSY:
            raise ConnectionError(f"the hub answers {error.response.status_code}") from error
        raise Refusal(_denied(f"data set {dataset!r}", error)) from error
    except httpx.TransportError as error:
        raise ConnectionError(first_line(error)) from error
    if commit is None:
        raise ConnectionError("the server that answers is not the hub: it gives no commit")
    return str(commit)


def _denied(name: str, error: Any) -> str:
    """What to tell a user whom the hub denies access to `name`."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{name} is gated: accept its terms on the hub, and set HF_TOKEN to a token of the "
            "account that accepted them"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name} is not on the hub; if it is private, set HF_TOKEN to a token that may read it"
        )
    return f"{name}: the hub refuses access ({error.response.status_code})"


def _builder(dataset: str, config: str | None, path: str, commit: str | None) -> Any:
    """A builder of the rows in a folder, or of the rows at a commit on the hub."""
    from datasets.load import get_dataset_builder_class

    with _refusing(f"data set {dataset!r}"):
        module = _module(path, commit)
    config = config or module.builder_configs_parameters.default_config_name
    # Only the card may list the label names: Parquet files need not.
    info = copy.deepcopy((module.dataset_infos or {}).get(config))
    name = dataset.rpartition("/")[2]
    options = {"dataset_name": name, "config_name": config, "info": info, **module.builder_kwargs}
    try:
        return get_dataset_builder_class(module)(hash=module.hash, **options)
    except ValueError as error:
        if "BuilderConfig" not in str(error):
            raise Refusal(
                f"data set {dataset!r}, config {config!r}: {first_line(error)}"
            ) from error
        raise _no_config(dataset, config) from error
    except (OSError, KeyError) as error:
        raise Refusal(f"data set {dataset!r}, config {config!r}: {first_line(error)}") from error


@lru_cache(maxsize=64)
def _module(path: str, commit: str | None) -> Any:
    """The module that lists the data files. It is cached, because reading a card with many configs
    takes half a second."""
    import datasets  # imported here: a study of the embedded benchmark does not need it
    from datasets.load import HubDatasetModuleFactory, LocalDatasetModuleFactory

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    if commit is None:
        return LocalDatasetModuleFactory(path).get_module()
    # Not dataset_module_factory, which falls back on the cache at any commit.
    return HubDatasetModuleFactory(path, commit_hash=commit).get_module()


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turns the errors of `datasets` about `name` into a Refusal that says what to do."""
    from datasets.exceptions import (
        DataFilesNotFoundError,
        DatasetGenerationError,
    )
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        yield
    except Refusal:
        raise
    except (ConnectionError, httpx.TransportError, errors.LocalEntryNotFoundError) as error:
        raise Refusal(
            f"{name} cannot be reached ({first_line(error)}) and is not in the cache. Read "
            "it from a folder in the hub's layout with --data-root DIR, or fill the cache on a "
            "machine with a network: `transfer-search data fetch STUDY`"
        ) from error
    except DataFilesNotFoundError as error:
        raise Refusal(
            f"{name} has not all data files that its README.md lists; expected a README.md that "
            "lists only existing configs"
        ) from error
    except (DatasetGenerationError, pa.ArrowException, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, errors.HfHubHTTPError):
            raise Refusal(_denied(name, cause)) from error
        raise Refusal(f"{name}: its Parquet files cannot be read ({first_line(cause)})") from error
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"{name} cannot be loaded: {first_line(error)}") from error


def _no_config(dataset: str, config: str | None) -> NoRowsError:
    return NoRowsError(f"data set {dataset!r} has no config {config!r}")
