"""Looks at a folder of rows: which languages and splits it has, and what is in their files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from search.init.table import Row
from spaces.languages import find_language
from spaces.refusal import Refusal, shown
from trainables.row_files.files import SUFFIXES, read_text
from trainables.rows.folders import read_own_rows

# Our split -> the names that it often has.
SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("train", "training"),
        "validation": ("validation", "valid", "val", "dev", "development"),
        "test": ("test", "testing"),
    }
)
EXPECTED = f"expected LANGUAGE/SPLIT{SUFFIXES[0]}, such as de/test.jsonl ({', '.join(SUFFIXES)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFolder:
    """The rows of a folder.

    Attributes:
        folders: the name of the folder of each language, by its code.
        splits: the names of the files of each split, without their ending.
        rows: the rows by language and split (ours).
        header: whether the CSV and TSV files name their columns.
    """

    path: Path
    folders: Mapping[str, str]
    splits: Mapping[str, str]
    rows: Mapping[tuple[str, str], list[Row]]
    header: bool

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of all languages."""
        return tuple(self.folders)

    def num_rows(self, language: str, split: str) -> int:
        """The number of rows; 0 where there is no file."""
        return len(self.rows.get((language, split), ()))


def look_at(folder: Path) -> RowFolder:
    """Read all rows below a folder.

    Raises:
        Refusal: the folder has no rows, the name of a folder with rows is no language, one split
            has two names, or a file cannot be read.
    """
    if not folder.is_dir():
        raise Refusal(f"there is no folder {str(folder)!r}; {EXPECTED} in it")
    files = {below: _splits_of(below) for below in sorted(folder.iterdir()) if below.is_dir()}
    files = {below: splits for below, splits in files.items() if splits}
    if not files:
        raise Refusal(f"folder {str(folder)!r} has no rows; {EXPECTED}")
    named = _named_splits(folder, files)
    header = _has_header([path for splits in files.values() for path in chain(*splits.values())])
    folders: dict[str, str] = {}
    rows: dict[tuple[str, str], list[Row]] = {}
    for below, splits in files.items():
        code = _code_of(below, folders)
        folders[code] = below.name
        for split in splits:
            rows[code, split] = [*read_own_rows(folder, below.name, named[split], header=header)]
    return RowFolder(path=folder, folders=folders, splits=named, rows=rows, header=header)


def _splits_of(folder: Path) -> dict[str, list[Path]]:
    """The files of each split."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = path.stem.split("-")[0] if path.suffix == ".parquet" else path.stem
        for split, names in SPLITS.items():
            if path.suffix in SUFFIXES and name in names:
                found.setdefault(split, []).append(path)
    return found


def _named_splits(folder: Path, files: Mapping[Path, Mapping[str, list[Path]]]) -> dict[str, str]:
    """The name of each split in the files; it must be one name in all languages."""
    names: dict[str, dict[str, Path]] = {}
    for splits in files.values():
        for split, paths in splits.items():
            for path in paths:
                names.setdefault(split, {})[path.stem.split("-")[0]] = path
    for split, by_name in names.items():
        if len(by_name) > 1:
            first, second = list(by_name.values())[:2]
            raise Refusal(
                f"{first.relative_to(folder)} and {second.relative_to(folder)} are both files of "
                f"the split {split!r}; give them one name in all languages"
            )
    return {split: next(iter(names[split])) for split in SPLITS if split in names}


def _code_of(below: Path, folders: Mapping[str, str]) -> str:
    """The code of the language that a folder's name means."""
    language = find_language(below.name)
    if language is None:
        raise Refusal(
            f"folder {str(below)!r} has rows, but {shown(below.name)} is no language; name it by "
            "the language's code, such as 'de' (docs/reference/languages.md)"
        )
    if language.code in folders:
        raise Refusal(
            f"the folders {folders[language.code]!r} and {below.name!r} are both {language.name}; "
            "put the rows into one of them"
        )
    return language.code


def _has_header(paths: list[Path]) -> bool:
    """Whether the first lines of CSV and TSV files name their columns: they do where all files
    begin with the same line, or where the only file's first line has no number and no long
    text."""
    first = [
        read_text(path).partition("\n")[0].strip()
        for path in paths
        if path.suffix in (".csv", ".tsv")
    ]
    if len(first) > 1:
        return len(set(first)) == 1
    cells = [cell.strip('" ') for cell in re.split("[,;\t]", "".join(first))]
    return all(len(cell) <= 30 and not cell.isdecimal() for cell in cells)
