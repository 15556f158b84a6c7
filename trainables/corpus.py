"""The text a base is pretrained on: the pocket world's, or a user's own files."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from spaces.refusal import Refusal
from trainables.examples import TextExample
from trainables.pocket.text import pretraining_text

NUM_HASHED_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketText:
    """`num_rows` rows made of CLDR's words; a pure function of the three."""

    languages: tuple[str, ...]
    num_rows: int
    seed: int

    def rows(self) -> list[TextExample]:
        return list(pretraining_text(self.num_rows, seed=self.seed, languages=self.languages))

    def digest(self) -> str:
        """Of the first rows, which are those of any longer text; quick enough for every start."""
        first = pretraining_text(NUM_HASHED_ROWS, seed=self.seed, languages=self.languages)
        return _digest(first)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFiles:
    """UTF-8 files: of `texts` every line is a text; of `pairs` every line is a text and its
    translation, with a tab between, and makes a row of translation modelling."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...]

    def rows(self) -> list[TextExample]:
        """Every line that is not empty. Raises Refusal with file and line."""
        found = [row for path in self.texts for row in _lines(path, paired=False)]
        found += [row for path in self.pairs for row in _lines(path, paired=True)]
        if not found:
            raise Refusal(f"no text in {', '.join([*self.texts, *self.pairs]) or 'no files'}")
        return found

    def digest(self) -> str:
        return _digest(iter(self.rows()))


Corpus = PocketText | TextFiles


def _lines(path: str, *, paired: bool) -> Iterator[TextExample]:
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"text file {path!r} cannot be read as UTF-8: {error}") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split("\t")] if paired else [line.strip()]
        if paired and (len(parts) != 2 or not all(parts)):
            raise Refusal(
                f"{path!r}, line {number}: expected a text, a tab and its translation; "
                f"got {len(parts)} columns"
            )
        pair = parts[1] if paired else None
        yield TextExample(id=f"{Path(path).name}:{number}", text=parts[0], pair=pair)


def _digest(rows: Iterator[TextExample]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(asdict(row), sort_keys=True).encode())
    return digest.hexdigest()
