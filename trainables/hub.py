"""Raw rows of data sets in the hub's layout: from the hub itself, or from a folder, a data root.

Both go through `datasets` and give the same rows. Those of a folder are read from its Parquet
files each time, never from a cache, which would not notice that a file was changed.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from spaces.refusal import Refusal, unknown

LICENCES = "licences.json"  # of a data root: data set -> config -> {"licence": ...}
ENCODER_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
_COMMIT = re.compile("[0-9a-f]{40}")


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
    builder = _builder(dataset, config, folder, revision)
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


def find_folder(dataset: str, data_root: str | None) -> Path | None:
    """The data set's folder under the data root (or here, by its name); None is the hub."""
    if data_root is None:
        return Path(dataset) if Path(dataset).is_dir() else None
    root = Path(data_root)
    if not root.is_dir():
        raise Refusal(f"data root {data_root!r} is no folder; expected one in the hub's layout")
    if not (root / dataset).is_dir():
        there = sorted(str(f.relative_to(root)) for f in root.glob("*/*") if f.is_dir())
        raise unknown(f"data set in data root {data_root!r}", dataset, there)
    return root / dataset


def licence_of(dataset: str, config: str | None, data_root: str | None) -> str | None:
    """What the data root's licences.json says of a config, else the data set's card."""
    file = Path(data_root) / LICENCES if data_root is not None else None
    if file is not None and file.exists():
        try:
            licences = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Refusal(f"{file} cannot be read as JSON: {error}") from error
        listed = licences.get(dataset, {})
        alone = next(iter(listed.values())) if config is None and len(listed) == 1 else None
        entry = listed.get(config or "default", alone)
        if entry is not None:
            return str(entry["licence"])
    folder = find_folder(dataset, data_root)
    from huggingface_hub import DatasetCard

    try:
        card = DatasetCard.load(folder / "README.md" if folder else dataset)
    except (OSError, ValueError):
        return None
    return str(card.data.license) if card.data.license else None


def fetch_encoder(name: str, revision: str | None) -> None:
    """Fill the hub's cache with an encoder: config, tokenizer, safetensors. Raises Refusal."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(name, revision=revision, allow_patterns=ENCODER_FILES)
    except (OSError, ValueError) as error:
        raise Refusal(f"encoder {name!r} cannot be fetched: {_line(error)}") from error


def _builder(dataset: str, config: str | None, folder: Path | None, revision: str | None) -> Any:
    from datasets.load import get_dataset_builder_class

    with _refusing(f"data set {dataset!r}"):
        module = _module(str(folder.resolve()) if folder else dataset, revision)
    name = dataset.rpartition("/")[2]
    options = {"dataset_name": name, "config_name": config, **module.builder_kwargs}
    try:
        return get_dataset_builder_class(module)(hash=module.hash, **options)
    except ValueError as error:
        if "BuilderConfig" not in str(error):
            raise Refusal(f"data set {dataset!r}, config {config!r}: {_line(error)}") from error
        raise NoRowsError(f"data set {dataset!r} has no config {config!r}") from error
    except (OSError, KeyError) as error:
        raise Refusal(f"data set {dataset!r}, config {config!r}: {_line(error)}") from error


@lru_cache(maxsize=64)
def _module(path: str, revision: str | None) -> Any:
    """Reading a card with many configs takes half a second: once a data set and process."""
    import datasets  # a study of the embedded benchmark need not wait for it
    from datasets.load import dataset_module_factory

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return dataset_module_factory(path, revision=None if Path(path).is_dir() else revision)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn what `datasets` raises into a line that says what to do."""
    from datasets.exceptions import (
        DataFilesNotFoundError,
        DatasetGenerationError,
        DatasetNotFoundError,
    )

    try:
        yield
    except Refusal:
        raise
    except ConnectionError as error:
        raise Refusal(
            f"{where} cannot be reached: the hub does not answer and it is not in the cache. Read "
            "it from a folder in the hub's layout with --data-root DIR, or fill the cache where "
            "there is a network with `transfer-search data fetch STUDY`"
        ) from error
    except DatasetNotFoundError as error:
        raise Refusal(f"{where} is not on the hub, or its terms were not accepted") from error
    except DataFilesNotFoundError as error:
        raise Refusal(
            f"{where} lacks data files that its README.md lists; it must list only configs that "
            "are there"
        ) from error
    except (DatasetGenerationError, pa.ArrowException, OSError) as error:
        cause = error.__cause__ or error
        raise Refusal(f"{where}: its Parquet files cannot be read ({_line(cause)})") from error
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"{where} cannot be loaded: {_line(error)}") from error


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


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
