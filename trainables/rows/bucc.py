"""The corpora of BUCC 2018 in their own layout: two files of sentences, and which are a pair.

```
FOLDER/de-en/de-en.sample.de      id, tab, sentence    (or all files in FOLDER itself)
FOLDER/de-en/de-en.sample.en
FOLDER/de-en/de-en.sample.gold    id, tab, id
```
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal
from trainables.rows.folders import read_text
from trainables.rows.hub import NoRowsError

HINT = (
    "the corpora of BUCC 2018 are to be had from its shared task; put the folder there that holds "
    "de-en, fr-en, ru-en and zh-en, or a link to it"
)


def bucc_rows(folder: Path, config: str, split: str) -> list[dict[str, Any]]:
    """Every sentence of both corpora, the English ones last: `id`, `sentence`, `is_pivot` and the
    ids of its gold `partners`.

    Raises:
        NoRowsError: there are no files of that split.
        Refusal: they contradict each other.
    """
    code, _, pivot = config.partition("-")
    below = folder / config if (folder / config).is_dir() else folder
    texts, pivots, gold = (below / f"{config}.{split}.{end}" for end in (code, pivot, "gold"))
    missing = [path.name for path in (texts, pivots, gold) if not path.exists()]
    if missing:
        raise NoRowsError(f"folder {str(below)!r} has no {', '.join(missing)}")
    sentences = {path: dict(_pairs(path)) for path in (texts, pivots)}
    partners: dict[str, list[str]] = defaultdict(list)
    for number, (one, other) in enumerate(_pairs(gold), start=1):
        for name, path in ((one, texts), (other, pivots)):
            if name not in sentences[path]:
                raise Refusal(f"{gold}, line {number}: {name!r} is no id of {path.name}")
        partners[one].append(other)
        partners[other].append(one)
    return [
        {"id": name, "sentence": text, "is_pivot": path == pivots, "partners": partners[name]}
        for path, found in sentences.items()
        for name, text in found.items()
    ]


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Both columns of every line."""
    pairs = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        first, tab, second = line.rstrip("\r").partition("\t")
        if not line.strip():
            continue
        if not tab:
            raise Refusal(f"{path}, line {number} is {line[:40]!r}, expected two columns and a tab")
        pairs.append((first.strip(), second.strip()))
    return pairs
