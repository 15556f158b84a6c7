"""Reads rows of XTREME's own files, in the form that its scripts/download_data.sh writes.

```
FOLDER/test-de.tsv       or FOLDER/de/test-de.tsv; the same for train and dev
udpos, panx              word, tab, tag; an empty line between sentences
pawsx, xnli              two sentences and the label, with tabs between them, quoted as in CSV
FOLDER/de-en.de, .en     tatoeba: one sentence per line, the English ones sorted
```
XTREME's test files have no labels. Such rows are read with the label None.
Source: utils_preprocess.py in google-research/xtreme.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spaces.languages import get_language
from spaces.refusal import Refusal
from spaces.tasks.origin import Layout, Origin
from spaces.tasks.task import Task
from trainables.row_files.files import read_text
from trainables.rows.hub import NoRowsError

HINT = "expected a folder that XTREME's scripts/download_data.sh wrote (download/udpos and so on)"
TAGS: Mapping[str, str] = MappingProxyType({"udpos": "pos_tags", "panx": "ner_tags"})
PAIRS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"pawsx": ("sentence1", "sentence2"), "xnli": ("premise", "hypothesis")}
)
# Where files have no ids, so that a submission depends on which rows they are, and on their order.
_EMPTY = "is_empty"  # no column of the hub's
BY_PLACE = (*TAGS, *PAIRS, "tatoeba")


def find_test_rows(task: Task, language: str, download: str) -> Origin | None:
    """Where the test rows of a task lie below XTREME's folder `download`; None where it has none in
    this language."""
    if task.name not in BY_PLACE:
        return None
    origin = Origin(
        dataset=str(Path(download).expanduser().absolute() / task.name),
        languages=(language,),
        config="{code}",
        reader=task.name,
        layout=Layout.XTREME,
    )
    there = _files(Path(origin.dataset), task.name, language, "test")
    return origin if there is not None else None


def xtreme_rows(folder: Path, reader: str, language: str, split: str) -> list[dict[str, Any]]:
    """The rows of one file, with the columns of the hub's rows. `reader` is the task's.

    Raises:
        NoRowsError: there is no such file.
        Refusal: a task whose files are not read, or a broken line.
    """
    if reader not in BY_PLACE:
        raise Refusal(
            f"rows of {reader!r} are not read from XTREME's own files, only those of "
            f"{', '.join(BY_PLACE)}; the hub's rows have the same ids"
        )
    files = _files(folder, reader, language, split)
    if files is None:
        raise NoRowsError(f"folder {str(folder)!r} has no {split}-{language}.tsv; {HINT}")
    if reader == "tatoeba":
        return _translations(files[0], files[1], get_language(language).iso3)
    return list((_tagged if reader in TAGS else _pairs)(files[0], reader, language))


def is_empty(content: Mapping[str, Any]) -> bool:
    """Whether a row of XTREME's is a sentence without words, which still has a line in a
    submission."""
    return _EMPTY in content


def with_stand_ins(content: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The row with the task's first label in place of hidden ones, so that a model can answer it.
    Such a row must not be scored."""
    filled = dict(content)
    for column in ("label", *TAGS.values()):
        if column in filled and filled[column] is None:
            words = filled.get("tokens")
            filled[column] = task.labels[0] if words is None else [task.labels[0]] * len(words)
    return filled


def _files(folder: Path, reader: str, language: str, split: str) -> tuple[Path, ...] | None:
    """The files of a split that exist, all of them or None."""
    names = [f"{split}-{language}.tsv"]
    if reader == "tatoeba":
        names = [f"{language}-en.{language}", f"{language}-en.en"] if split == "test" else []
    for below in (folder, folder / language):
        files = tuple(below / name for name in names)
        if files and all(path.is_file() for path in files):
            return files
    return None


def _tagged(path: Path, reader: str, language: str) -> Iterator[dict[str, Any]]:
    """A sentence ends at an empty line, as in XTREME's evaluate.py: two of them enclose a sentence
    without words."""
    words: list[str] = []
    tags: list[str] = []
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, start=1):
        is_last = number == len(lines)
        if line.strip():
            word, tab, tag = line.rstrip("\r").partition("\t")
            words.append(word.strip())
            if tab:
                tags.append(tag.strip())
            if len(tags) not in (0, len(words)):
                raise Refusal(
                    f"{path}, line {number}: some words of its sentence have a tag and some have "
                    "none; expected a tag on every line, or on none"
                )
        if words if is_last else not line.strip():
            row = {"tokens": words, TAGS[reader]: tags or None}
            yield {**row, "langs": [language] * len(words)} if words else {_EMPTY: True}
            words, tags = [], []


def _pairs(path: Path, reader: str, language: str) -> Iterator[dict[str, Any]]:
    first, second = PAIRS[reader]
    lines = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t")
    for number, cells in enumerate(lines, start=1):
        if len(cells) not in (2, 3):
            raise Refusal(
                f"{path}, row {number} has {len(cells)} columns, expected two sentences and, where "
                "it is not hidden, a label, with tabs between them"
            )
        label = cells[2] if len(cells) == 3 else None
        yield {first: cells[0], second: cells[1], "label": label}


def _translations(texts: Path, english: Path, code: str) -> list[dict[str, Any]]:
    """A sentence of either side in each row. They are no translations of each other."""
    sides = [read_text(path).removesuffix("\n").split("\n") for path in (texts, english)]
    if len(sides[0]) != len(sides[1]):
        raise Refusal(
            f"{texts} has {len(sides[0])} lines and {english.name} {len(sides[1])}, expected as "
            "many"
        )
    codes = {"source_lang": code, "target_lang": "eng"}
    return [
        {"source_sentence": text, "target_sentence": pivot, **codes}
        for text, pivot in zip(*sides, strict=True)
    ]
