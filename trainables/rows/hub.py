"""Raw rows of data sets in the hub's layout: from the hub itself, or from a folder, a data root.

Both go through `datasets` and give the same rows. Those of a folder are read from its Parquet
files each time, never from a cache, which would not notice that a file was changed. Those of the
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
from trainables.rows.cards import CARD, configs, default_config, find_folder

ENCODER_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
_COMMIT = re.compile("[0-9a-f]{40}")
_BUSY = (408, 429, 500, 502, 503, 504)  # the hub's statuses that say: later


class NoRowsError(Refusal):
    """The data set is there, but not this config or split of it."""


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows as the hub has them, class labels by name; `commit` is "" for those of a folder."""

    rows: list[dict[str, Any]]
    commit: str


def raw_rows(
    dataset: str, config: str | None, split: str, *, revision: str | None, data_root: str | None
) -> RawRows:
    """All rows of one split.

    Raises:
        NoRowsError: there is no such config or split.
        Refusal: the data set is not there, cannot be reached or cannot be read.
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
    """Write one split as a Parquet file that says its own features, label names among them.

    Returns the commit it was read from. Raises as `raw_rows`.
    """
    import datasets

    rows, features, commit = _read(dataset, config, split, revision, data_root)
    target.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(target)
    return commit


def _read(
    dataset: str, config: str | None, split: str, revision: str | None, data_root: str | None
) -> tuple[list[dict[str, Any]], Any, str]:
    """Rows as they are stored, their features, and the commit of a hub's data set."""
    folder = find_folder(dataset, data_root)
    if folder is None:
        builder = _of_hub(dataset, config, revision)
    else:
        builder = _builder(dataset, config, str(folder.resolve()), None)
    where = f"data set {dataset!r}, config {builder.config.name!r}"
    splits = list(builder.config.data_files or builder.info.splits or ())
    if split not in splits:
        raise NoRowsError(f"{where} has no split {split!r}, only {', '.join(map(repr, splits))}")
    with _refusing(f"{where}, split {split!r}"):
        if folder is None:
            builder.download_and_prepare(verification_mode="no_checks")
            found = builder.as_dataset(split=split)
            rows = found.to_list()
        else:
            found = builder.as_streaming_dataset(split=split)
            rows = list(found)
    commit = builder.hash or ""
    is_commit = folder is None and _COMMIT.fullmatch(commit)
    return rows, found.features, commit if is_commit else ""


def fetch_encoder(name: str, revision: str | None) -> None:
    """Fill the hub's cache with an encoder: config, tokenizer, safetensors. Raises Refusal."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(name, revision=revision, allow_patterns=ENCODER_FILES)
    except (OSError, ValueError) as error:
        raise Refusal(f"encoder {name!r} cannot be fetched: {first_line(error)}") from error


def cached_encoder(name: str, revision: str | None) -> Path | None:
    """The folder of an encoder that lies in the hub's cache, ready to be loaded; else None. The hub
    is not asked."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None
    is_whole = (folder / "config.json").exists() and any(folder.glob("*.safetensors"))
    return folder if is_whole else None


def _of_hub(dataset: str, config: str | None, revision: str | None) -> Any:
    """A builder of the rows at the commit of a revision, and at no other: where the hub cannot be
    reached, `datasets` would take whichever commit is in the cache."""
    pinned = revision if revision and _COMMIT.fullmatch(revision) else None
    with _refusing(f"data set {dataset!r}" + (f", revision {pinned!r}," if pinned else "")):
        found = _in_cache(dataset, config, pinned) if pinned else None
        if found is not None:
            return found
        try:
            commit = _commit_of(dataset, revision)
        except ConnectionError:
            names = [entry["config_name"] for entry in configs(dataset, pinned)]
            if names and config is not None and config not in names:
                raise _no_config(dataset, config) from None
            found = None if pinned else _in_cache(dataset, config, "*")
            if found is None:
                raise
            return found
        return _in_cache(dataset, config, commit) or _builder(dataset, config, dataset, commit)


def _in_cache(dataset: str, config: str | None, commit: str) -> Any:
    """A builder of what was prepared before of a config at a commit; of any, the latest."""
    import datasets
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    owner, _, name = dataset.rpartition("/")
    root = Path(datasets.config.HF_DATASETS_CACHE) / f"{owner}___{camelcase_to_snakecase(name)}"
    places = root.glob(f"{escape(config) if config else '*'}/*/{commit}/dataset_info.json")
    for place in sorted(places, key=lambda place: place.stat().st_mtime, reverse=True):
        prepared, version, at = place.parts[-4:-1]
        if prepared == (config or default_config(dataset, at)):
            options = {"config_name": prepared, "version": version, "hash": at}
            return Cache(repo_id=dataset, dataset_name=name, **options)
    return None


@lru_cache(maxsize=64)
def _commit_of(dataset: str, revision: str | None) -> str:
    """The hub's answer to whether there is such a revision, and which commit it is. It is asked
    once and in one request: the client's own retries take minutes where nothing answers.

    Raises:
        ConnectionError: nothing answers, or nothing of use.
        Refusal: the hub answers that we cannot have it.
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
        raise ConnectionError("what answers is not the hub: it names no commit")
    return str(commit)


def _denied(where: str, error: Any) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{where} is gated: accept its terms on the hub, and set HF_TOKEN to a token of the "
            "account that did"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{where} is not on the hub; if it is private, set HF_TOKEN to a token that may read it"
        )
    return f"{where}: the hub refuses to give it ({error.response.status_code})"


def _builder(dataset: str, config: str | None, path: str, commit: str | None) -> Any:
    """A builder of the rows in a folder, or of those of a commit on the hub."""
    from datasets.load import get_dataset_builder_class

    with _refusing(f"data set {dataset!r}"):
        module = _module(path, commit)
    config = config or module.builder_configs_parameters.default_config_name
    # The card may be all that names the labels: Parquet files need not.
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
    """Reading a card with many configs takes half a second: once a data set and process."""
    import datasets  # a study of the embedded benchmark need not wait for it
    from datasets.load import HubDatasetModuleFactory, LocalDatasetModuleFactory

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    if commit is None:
        return LocalDatasetModuleFactory(path).get_module()
    # Not dataset_module_factory, which falls back on the cache, whatever commit that holds.
    return HubDatasetModuleFactory(path, commit_hash=commit).get_module()


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn what `datasets` raises into a line that says what to do."""
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
            f"{where} cannot be reached ({first_line(error)}) and is not in the cache. Read "
            "it from a folder in the hub's layout with --data-root DIR, or fill the cache where "
            "there is a network with `transfer-search data fetch STUDY`"
        ) from error
    except DataFilesNotFoundError as error:
        raise Refusal(
            f"{where} lacks data files that its README.md lists; it must list only configs that "
            "are there"
        ) from error
    except (DatasetGenerationError, pa.ArrowException, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, errors.HfHubHTTPError):
            raise Refusal(_denied(where, cause)) from error
        raise Refusal(f"{where}: its Parquet files cannot be read ({first_line(cause)})") from error
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"{where} cannot be loaded: {first_line(error)}") from error


def with_names(rows: list[dict[str, Any]], features: Any) -> list[dict[str, Any]]:
    """Class labels, single ones and lists of them, by their names; -1, a hidden one, as None."""
    from datasets import ClassLabel

    for column, kind in (features or {}).items():
        inner = getattr(kind, "feature", kind)
        if not isinstance(inner, ClassLabel):
            continue
        names = inner.names
        for row in rows:
            value = row[column]
            if isinstance(value, list):
                row[column] = [_name(one, names) for one in value]
            else:
                row[column] = _name(value, names)
    return rows


def _name(value: int | None, names: list[str]) -> str | None:
    if value is None or value == -1:
        return None
    return names[value] if 0 <= value < len(names) else str(value)


def _no_config(dataset: str, config: str | None) -> NoRowsError:
    return NoRowsError(f"data set {dataset!r} has no config {config!r}")
