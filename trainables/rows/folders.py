"""Raw rows from your own folders, one file per language and split."""

import shutil
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal
from spaces.tasks.origin import Layout, Origin
from trainables.row_files.files import SUFFIXES, read_file
from trainables.rows.hub import NoRowsError

NAMES = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
HINT = f"expected your own rows there as LANGUAGE/SPLIT{NAMES}"


def own_root(origin: Origin, data_root: str | None, rows_folder: str | None) -> str | None:
    """The folder that the origin's folder is relative to: the data root where it has it there, else
    the study's `rows_folder`. A data set of the hub has the data root alone."""
    is_hub = origin.layout is Layout.HUB
    if is_hub or rows_folder is None or is_below(origin.dataset, data_root):
        return data_root
    return rows_folder


def is_below(dataset: str, data_root: str | None) -> bool:
    """Whether the data root has this folder."""
    return data_root is not None and (Path(data_root) / dataset).is_dir()


def find_own_folder(dataset: str, data_root: str | None, *, hint: str) -> Path:
    """The folder that `dataset` names: an absolute path, or a path below the data root, or, without
    a data root, below the current folder. `hint` says what belongs there. Raises Refusal where it
    does not exist."""
    named = Path(dataset).expanduser()
    folder = named if named.is_absolute() else Path(data_root or ".") / named
    if not folder.is_dir():
        raise Refusal(f"there is no folder {str(folder)!r}: {hint}")
    return folder


def read_own_rows(
    folder: Path, config: str | None, split: str, *, header: bool = True
) -> list[dict[str, Any]]:
    """The rows in the files of a config and split. Class labels are names where a Parquet file
    lists them. `header` says whether the first line of a CSV or TSV file names its columns. Raises
    as `find_own_files` does, and Refusal for a file that cannot be read."""
    files = find_own_files(folder, config, split)
    return [row for path in files for row in read_file(path, header=header)]


def find_own_files(folder: Path, config: str | None, split: str) -> list[Path]:
    """FOLDER/CONFIG/SPLIT with one of SUFFIXES, or several files SPLIT-*.parquet.

    Raises:
        NoRowsError: there is no such file.
        Refusal: there are files of two kinds, or one is not a regular file.
    """
    below = folder / config if config else folder
    single = [below / f"{split}{suffix}" for suffix in SUFFIXES]
    files = [path for path in single if path.exists()] or sorted(below.glob(f"{split}-*.parquet"))
    if not files:
        there = sorted(path.name for path in below.glob("*.*"))[:6]
        holds = f"; it holds {', '.join(there)}" if there else ""
        raise NoRowsError(f"folder {str(below)!r} has no {split}{NAMES}{holds}")
    if len({path.suffix for path in files}) > 1:
        raise Refusal(f"{files[0]} and {files[1].name} both exist; remove one of them")
    for path in files:
        if not path.is_file():  # a pipe gives its rows once, but they are read several times
            raise Refusal(f"{path} is not a regular file; write the rows into a file of this name")
    return files


def copy_own(
    dataset: str, config: str | None, split: str, root: Path, *, data_root: str | None
) -> None:
    """Copy the files of a config and split below `root`, where they lie as in a data root. Raises
    as `find_own_files` does."""
    folder = find_own_folder(dataset, data_root, hint=HINT)
    for path in find_own_files(folder, config, split):
        target = root / dataset / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
