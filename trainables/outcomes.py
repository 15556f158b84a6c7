"""What each row of a target got, compactly: enough to score any resample of the rows.

`[rows]`: one value a row, the score is their mean (accuracy, exact match, F1 of an answer).
`[rows, 3]`: right, predicted and gold counts a row, the score is the micro F1 of their sums (spans,
mined pairs). Rows stand in the order in which they were scored; which rows they are says the
protocol's digest of the data. On disk: one safetensors file a target, one array a language.
"""

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from spaces.refusal import Refusal
from trainables.scores import ScoringProtocol

Outcomes = npt.NDArray[Any]
ByLanguage = Mapping[str, Outcomes]

FOLDER = "outcomes"


def of_values(values: Iterable[float]) -> Outcomes:
    """One value a row: a byte each where all are 0 or 1, else eight, so that nothing is lost."""
    array = np.asarray(list(values), np.float64)
    return array.astype(np.uint8) if np.isin(array, (0, 1)).all() else array


def of_counts(counts: Iterable[Sequence[int]]) -> Outcomes:
    """(right, predicted, gold) a row, in as few bytes as the largest count needs."""
    array = np.asarray(list(counts), np.int64).reshape(-1, 3)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def score_of(outcomes: Outcomes) -> float:
    """The main score of all rows: the very number that the format gave. ValueError without rows."""
    if not len(outcomes):
        raise ValueError("no rows to score")
    if outcomes.ndim == 1:
        return float(sum(outcomes.tolist()) / len(outcomes))
    right, predicted, gold = (int(total) for total in outcomes.sum(axis=0, dtype=np.int64))
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


def file_of(home: Path, trained: str, protocol: ScoringProtocol) -> Path:
    """Where the outcomes of a target lie. `trained` says what was scored: the key of the phase, or
    a name for the study's encoder as it is."""
    name = f"{protocol.task}-{protocol.split}-{protocol.digest}.safetensors"
    return home / FOLDER / trained / name


def write(path: Path, outcomes: ByLanguage) -> None:
    """Write a file whole or not at all; nothing is written where it says the same already."""
    content = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in outcomes.items()})
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    draft.write_bytes(content)
    os.replace(draft, path)


def read(path: Path) -> dict[str, Outcomes]:
    """The arrays of a file by language. Raises Refusal where it is damaged."""
    try:
        return dict(safetensors.numpy.load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise Refusal(
            f"the outcomes of rows in {path.name} cannot be read ({error}): delete the file where "
            "it came from; verdicts are then given without it"
        ) from error
