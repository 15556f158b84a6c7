"""Reads the corpora of BUCC 2018 as published: two files of sentences and one of gold pairs.

```
FOLDER/de-en/de-en.sample.de      id, tab, sentence    (or all files in FOLDER itself)
FOLDER/de-en/de-en.sample.en
FOLDER/de-en/de-en.sample.gold    id, tab, id
```
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal, shown
from trainables.row_files.files import read_text
from trainables.rows.hub import NoRowsError

HINT = (
    "get the corpora of BUCC 2018 from its shared task, and put the folder that holds de-en, "
    "fr-en, ru-en and zh-en there, or a link to it"
)


def bucc_rows(folder: Path, config: str, split: str) -> list[dict[str, Any]]:
    """Every sentence of both corpora, English last: `id`, `sentence`, `is_pivot`, and `partners`,
    the ids of its gold translations.

    Raises:
        NoRowsError: there are no files of this split.
        Refusal: the files contradict each other.
    """
    code, _, pivot = config.partition("-")
    below = folder / config if (folder / config).is_dir() else folder
    texts, pivots, gold = (below / f"{config}.{split}.{end}" for end in (code, pivot, "gold"))
    missing = [path.name for path in (texts, pivots, gold) if not path.exists()]
    if missing:
        raise NoRowsError(f"folder {str(below)!r} has no {', '.join(missing)}")
    sentences = {path: _sentences(path) for path in (texts, pivots)}
    partners: dict[str, list[str]] = defaultdict(list)
    for number, (text_id, pivot_id) in enumerate(_pairs(gold), start=1):
        for name, path in ((text_id, texts), (pivot_id, pivots)):
            if name not in sentences[path]:
                raise Refusal(f"{gold}, line {number}: {path.name} has no id {shown(name)}")
        partners[text_id].append(pivot_id)
        partners[pivot_id].append(text_id)
    return [
        {"id": name, "sentence": text, "is_pivot": path == pivots, "partners": partners[name]}
        for path, by_id in sentences.items()
        for name, text in by_id.items()
    ]


def _sentences(path: Path) -> dict[str, str]:
    """The sentences of a corpus by id. Raises Refusal where two have one id."""
    by_id: dict[str, str] = {}
    for name, text in _pairs(path):
        if name in by_id:
            raise Refusal(f"{path} has two sentences with the id {shown(name)}; expected one")
        by_id[name] = text
    return by_id


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The two columns of every line that is not empty. Raises Refusal for a line without a tab."""
    pairs = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        first, tab, second = line.rstrip("\r").partition("\t")
        if not line.strip():
            continue
        if not tab:
            raise Refusal(f"{path}, line {number} is {line[:40]!r}, expected two columns and a tab")
        pairs.append((first.strip(), second.strip()))
    return pairs
