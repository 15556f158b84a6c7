"""The text that a base encoder is pretrained on: the pocket benchmark's, a text task's, or your own
files."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from spaces.refusal import Refusal, shown, unknown
from spaces.tasks.task import Task
from trainables.examples import TextExample
from trainables.pocket.text import pretraining_text
from trainables.rows.hub import raw_rows
from trainables.rows.rows import Rows

NUM_HASHED_ROWS = 1_000
NUM_PASSES = (
    2  # over the texts of a parallel corpus: the most translations that a text is paired with
)
ENGLISH_SHARE = 0.5  # the share of English among the partners of a text in another language


class Corpus(Protocol):
    """A source of text for pretraining."""

    def rows(self) -> list[TextExample]:
        """Every row, in an order that mixes languages. Raises Refusal where the text cannot be
        read."""
        ...

    def digest(self) -> str:
        """A digest of everything that decides the rows; it is part of the encoder's key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketText:
    """`num_rows` rows made of CLDR's words; a pure function of the three fields."""

    languages: tuple[str, ...]
    num_rows: int
    seed: int

    def rows(self) -> list[TextExample]:
        return list(pretraining_text(self.num_rows, seed=self.seed, languages=self.languages))

    def digest(self) -> str:
        """A digest of the fields and of the first rows; fast enough for every start."""
        first = pretraining_text(NUM_HASHED_ROWS, seed=self.seed, languages=self.languages)
        return _digest(first, self.languages, self.num_rows, self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFiles:
    """UTF-8 files. Every line of `texts` is a text. Every line of `pairs` is a text, a tab and its
    translation, and becomes a row for translation language modelling."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...]

    def rows(self) -> list[TextExample]:
        """Every line that is not empty. Raises Refusal with the file and the line."""
        rows = [row for path in self.texts for row in _lines(path, paired=False)]
        rows += [row for path in self.pairs for row in _lines(path, paired=True)]
        if not rows:
            raise Refusal(
                f"no text in {', '.join([*self.texts, *self.pairs]) or 'no files'}; expected a "
                "file with a text per line"
            )
        return rows

    def digest(self) -> str:
        return _digest(self.rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskText:
    """The training rows of a text task in several languages. Rows of one id are translations.
    `pair_share` of the rows become pairs of translations, half of them with English."""

    task: Task
    languages: tuple[str, ...]
    pair_share: float
    seed: int
    source: Rows = field(default=Rows(), compare=False)

    @classmethod
    def of(
        cls, task: Task, languages: Sequence[str], *, pair_share: float, seed: int, source: Rows
    ) -> "TaskText":
        """The text in those of the languages that have rows. Raises Refusal where none has."""
        with_rows = source.languages(task, languages, "train")
        if not with_rows:
            raise Refusal(
                f"text task {task.name!r} has no rows in {', '.join(languages)}; name a data root "
                "that holds it with --data-root DIR"
            )
        return cls(task=task, languages=with_rows, pair_share=pair_share, seed=seed, source=source)

    def rows(self) -> list[TextExample]:
        """Every text once per pass, alone or as one side of a pair in random order."""
        by_id = {code: {row.id: row for row in self._texts(code)} for code in self.languages}
        rng = random.Random(f"text:{self.seed}")
        rows: list[TextExample] = []
        for turn in range(NUM_PASSES if self.pair_share else 1):
            turn_rows = []
            for code, texts in by_id.items():
                for row in texts.values():
                    row_id = f"{code}:{row.id}:{turn}"
                    pair = self._partner(code, row.id, by_id, rng)
                    sides = [row.text] if pair is None else [row.text, pair]
                    rng.shuffle(sides)
                    second = sides[1] if len(sides) > 1 else None
                    turn_rows.append(TextExample(id=row_id, text=sides[0], pair=second))
            rng.shuffle(turn_rows)
            rows += turn_rows
        return rows

    def parallel(self) -> list[tuple[str, str]]:
        """(id, text) of every text. Texts of one id are translations of each other."""
        return [(row.id, row.text) for code in self.languages for row in self._texts(code)]

    def digest(self) -> str:
        prints = [self.source.fingerprint(self.task, code, "train") for code in self.languages]
        return _digest([], self.task.name, self.languages, prints, self.pair_share, self.seed)

    def _texts(self, language: str) -> list[TextExample]:
        rows = self.source.examples(self.task, language, "train")
        return [row for row in rows if isinstance(row, TextExample)]

    def _partner(
        self,
        language: str,
        row_id: str,
        by_id: dict[str, dict[str, TextExample]],
        rng: random.Random,
    ) -> str | None:
        """The same row in another language; None where the row stays alone."""
        if rng.random() >= self.pair_share:
            return None
        others = [code for code in by_id if code != language and row_id in by_id[code]]
        if not others:
            return None
        code = "en" if "en" in others and rng.random() < ENGLISH_SHARE else rng.choice(others)
        return by_id[code][row_id].text


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetText:
    """One column of any data set in the hub's layout, in one or more of its configs."""

    dataset: str
    configs: tuple[str | None, ...]
    split: str
    column: str
    seed: int
    revision: str | None = None
    data_root: str | None = field(default=None, compare=False)

    def rows(self) -> list[TextExample]:
        """Every text that is not empty. Raises Refusal, which names the row."""
        rows = [row for config in self.configs for row in self._read(config)]
        if not rows:
            raise Refusal(f"data set {self.dataset!r} has no text in column {self.column!r}")
        random.Random(f"text:{self.seed}").shuffle(rows)
        return rows

    def digest(self) -> str:
        return _digest(self.rows())

    def _read(self, config: str | None) -> Iterator[TextExample]:
        raw = raw_rows(
            self.dataset, config, self.split, revision=self.revision, data_root=self.data_root
        )
        for number, row in enumerate(raw.rows):
            text, row_id = row.get(self.column), f"{config or self.split}-{number:06d}"
            if self.column not in row:
                raise unknown(f"column of data set {self.dataset!r}", self.column, row)
            if not isinstance(text, str):
                raise Refusal(
                    f"data set {self.dataset!r}, row {row_id}: column {self.column!r} is "
                    f"{shown(text)}, expected text"
                )
            if text.strip():
                yield TextExample(id=row_id, text=text.strip(), pair=None)


def _lines(path: str, *, paired: bool) -> Iterator[TextExample]:
    try:
        content = Path(path).read_text(encoding="utf-8-sig")
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


def _digest(rows: Iterable[TextExample], *facts: object) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for row in rows:
        digest.update(json.dumps(asdict(row), sort_keys=True).encode())
    return digest.hexdigest()
