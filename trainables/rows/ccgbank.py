"""Reads CCG supertags from your own copy of CCGbank (LDC2005T13); its licence does not allow it on
the hub.

The files `data/AUTO/SECTION/wsj_NNNN.auto` are read, in the usual sections: 02-21 for training, 00
for development, 23 for testing (Hockenmaier and Steedman 2007). A leaf `<L category tag tag word
...>` of a derivation is a word with its supertag.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal
from spaces.tasks.hub_tasks import NUM_SUPERTAGS, SUPERTAGS
from trainables.row_files.files import read_text

TRAIN_SECTIONS = "02-21"
HINT = (
    "CCGbank (LDC2005T13) is under the LDC's licence and cannot be fetched; put the folder of "
    "your copy that holds data/AUTO there, or a link to it"
)
_LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) [^>]*>")
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LCB-": "{", "-RCB-": "}"}


def ccg_rows(folder: Path, sections: str) -> list[dict[str, Any]]:
    """Rows with `id`, `tokens` and `tags`. A tag is the rank of a category in the training
    sections. `sections` is `02-21` or `00`. Raises Refusal where files are missing or broken."""
    labels = dict(zip(categories(folder), SUPERTAGS, strict=False))
    return [
        {
            "id": name,
            "tokens": [word for _, word in leaves],
            "tags": [labels.get(category, SUPERTAGS[-1]) for category, _ in leaves],
        }
        for name, leaves in _sentences(folder, sections)
    ]


@lru_cache(maxsize=4)
def categories(folder: Path) -> tuple[str, ...]:
    """The categories that have their own label: the most frequent ones of the training sections, by
    descending frequency, then by name."""
    counts = Counter(c for _, leaves in _sentences(folder, TRAIN_SECTIONS) for c, _ in leaves)
    ranked = sorted(counts, key=lambda category: (-counts[category], category))
    return tuple(ranked[:NUM_SUPERTAGS])


def _sentences(folder: Path, sections: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(id, [(category, word), ...]) of every derivation."""
    for path in _files(folder, sections):
        name = ""
        for line in filter(None, read_text(path).split("\n")):
            if line.startswith("ID="):
                name = line.split()[0].removeprefix("ID=")
                continue
            leaves = [(c, _BRACKETS.get(word, word)) for c, word in _LEAF.findall(line)]
            if not leaves or not name:
                raise Refusal(
                    f"{path}: {line[:60]!r} after ID {name!r} is not a derivation of CCGbank's "
                    "AUTO files; expected leaves like <L N NNP NNP Vinken N>"
                )
            yield name, leaves


def _files(folder: Path, sections: str) -> list[Path]:
    first, _, last = sections.partition("-")
    below, files = folder / "data" / "AUTO", []
    for number in range(int(first), int(last or first) + 1):
        in_section = sorted((below / f"{number:02d}").glob("*.auto"))
        if not in_section:
            raise Refusal(f"{below / f'{number:02d}'} has no .auto files: {HINT}")
        files += in_section
    return files
