"""Outcomes: the result of each row of a target, stored compactly; enough to score any resample of
the rows.

`[rows]`: one value per row, and the score is their mean (accuracy, exact match, F1 of an answer).
`[rows, 3]`: right, predicted and gold counts per row, and the score is the micro F1 of their sums
(spans, mined pairs). Rows keep the order in which they were scored; the data digest in the protocol
identifies them. On disk a target has one safetensors file with one array per language; a language
whose rows form groups has one more array, with the integer group of each row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from spaces.refusal import Refusal
from trainables.scoring.groups import Groups
from trainables.scoring.scores import ScoringProtocol
from trainables.whole import write_whole

Outcomes = npt.NDArray[Any]

FOLDER = "outcomes"
GROUPS = "/groups"  # the end of the name of the array with a language's groups


@dataclass(frozen=True, eq=False)
class ByLanguage(Mapping[str, Outcomes]):
    """Language -> the outcome of each row. `groups`: language -> the group of each row (questions
    on one paragraph are one group); a language is missing where every row is its own group."""

    rows: Mapping[str, Outcomes]
    groups: Mapping[str, Groups] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for language, groups in self.groups.items():
            if language not in self.rows or groups.shape != (len(self.rows[language]),):
                raise ValueError(f"groups of {language!r} do not fit its rows")

    def of(self, languages: Iterable[str]) -> "ByLanguage":
        """The outcomes of these languages alone, in this order."""
        codes = list(languages)
        groups = {code: self.groups[code] for code in codes if code in self.groups}
        return ByLanguage({code: self.rows[code] for code in codes}, groups)

    def __getitem__(self, language: str) -> Outcomes:
        return self.rows[language]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def of_values(values: Iterable[float]) -> Outcomes:
    """Outcomes of one value per row: one byte each where all are 0 or 1, else eight bytes, without
    loss."""
    array = np.asarray(list(values), np.float64)
    return array.astype(np.uint8) if np.isin(array, (0, 1)).all() else array


def of_counts(counts: Iterable[Sequence[int]]) -> Outcomes:
    """Outcomes of (right, predicted, gold) per row, in the fewest bytes that hold the largest
    count."""
    array = np.asarray(list(counts), np.int64).reshape(-1, 3)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def score_of(outcomes: Outcomes) -> float:
    """The main score of all rows, equal to the format's score to the last bit. Raises ValueError
    without rows."""
    if not len(outcomes):
        raise ValueError("no rows to score")
    if outcomes.ndim == 1:
        return float(sum(outcomes.tolist()) / len(outcomes))
    right, predicted, gold = (int(total) for total in outcomes.sum(axis=0, dtype=np.int64))
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


def file_of(home: Path, trained: str, protocol: ScoringProtocol) -> Path:
    """The path of a target's outcomes below `home`. `trained` names what was scored: the key of the
    phase, or a name for the study's untrained encoder."""
    name = f"{protocol.task}-{protocol.split}-{protocol.digest}.safetensors"
    return home / FOLDER / trained / name


def write(path: Path, outcomes: ByLanguage) -> None:
    """Write a file whole or not at all; it is left as it is where the content is equal."""
    groups = {f"{language}{GROUPS}": array for language, array in outcomes.groups.items()}
    arrays = {**outcomes.rows, **groups}
    content = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def read(path: Path) -> ByLanguage:
    """The outcomes in a file, by language. Raises Refusal where it is damaged."""
    try:
        arrays = safetensors.numpy.load_file(path)
        return ByLanguage(
            {name: array for name, array in arrays.items() if not name.endswith(GROUPS)},
            {n.removesuffix(GROUPS): array for n, array in arrays.items() if n.endswith(GROUPS)},
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise Refusal(
            f"the outcomes of rows in {path.name} cannot be read ({error}); delete the file in the "
            "store that it came from, and verdicts are made without it"
        ) from error
