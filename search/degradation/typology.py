"""Distances between languages: URIEL's typological distances, and whether their scripts differ.

The tables come with the package urielplus (URIEL+, Khan et al., 2025, COLING:463). They are read as
files, without importing the package: it copies them into its own folder when it starts, which a
read-only image does not allow, and it configures the root logger.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from spaces.languages import LANGUAGES
from spaces.refusal import Refusal

# Kind -> the table and the first letters of the features that it is measured on.
KINDS: Mapping[str, tuple[str, str]] = {
    "syntactic": ("features", "S_"),
    "phonological": ("features", "P_"),
    "featural": ("features", ""),
    "genetic": ("family_features", ""),
    "geographic": ("geocoord_features", ""),
}
SCRIPT = "script"
MIN_SHARED = 10  # features known of both languages; with fewer there is no distance

_FOLDER = "database/original_uriel"

Distances = dict[str, dict[str, float]]
_Vectors = npt.NDArray[np.float64]


def distances(source: str, languages: Iterable[str]) -> Distances:
    """Kind -> language -> its distance from `source`, in [0, 1]; pairs that URIEL does not
    describe well enough are left out.

    URIEL's kinds are angles between vectors of features, a right angle being 1, over the features
    known of both. `script` is 0 for the same script and 1 for another (ISO 15924). Loading the
    tables takes about two seconds, once. Raises Refusal where they cannot be read.
    """
    known = [code for code in languages if code in LANGUAGES and source in LANGUAGES]
    by_kind: Distances = {kind: {} for kind in KINDS}
    for kind, by_language in by_kind.items():
        for code in known:
            distance = _distance(_row(kind, source), _row(kind, code))
            if distance is not None:
                by_language[code] = 0.0 if code == source else distance
    here = LANGUAGES[source].script if source in LANGUAGES else ""
    return by_kind | {SCRIPT: {code: float(LANGUAGES[code].script != here) for code in known}}


def _distance(one: _Vectors, other: _Vectors) -> float | None:
    """The angle between two vectors of features times 2/π, as urielplus's `new_distance` computes
    it; -1 is an unknown feature. None with fewer than MIN_SHARED known features. A language without
    any feature (an isolate, in the table of families) is at distance 1."""
    shared = (one >= 0) & (other >= 0)
    if shared.sum() < MIN_SHARED:
        return None
    a, b = one[shared], other[shared]
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = a @ b / norms if norms else 0.0
    return float(2 / np.pi * np.arccos(np.clip(cosine, -1, 1)))


def _row(kind: str, code: str) -> _Vectors:
    table, prefix = KINDS[kind]
    names, vectors = _table(table)
    chosen = np.char.startswith(names, prefix)
    row: _Vectors = vectors[code][chosen]
    return row


@cache
def _table(name: str) -> tuple[npt.NDArray[np.str_], dict[str, _Vectors]]:
    """The names of the features, and their values for our languages: 0 to 1, or -1 where no source
    has one. Of several sources the highest counts: a feature that one source reports is there."""
    try:
        with (files("urielplus") / _FOLDER / f"{name}.npz").open("rb") as file:
            content = np.load(file, allow_pickle=False)
            position = {str(code): i for i, code in enumerate(content["langs"])}
            rows = {code: position[language.uriel] for code, language in LANGUAGES.items()}
            data = content["data"]  # [languages, features, sources]
            return content["feats"], {
                code: data[row].max(axis=-1).astype(np.float64) for code, row in rows.items()
            }
    except (ModuleNotFoundError, OSError, ValueError, KeyError, BadZipFile) as error:
        raise Refusal(
            f"distances between languages are not known: table {name} of the package urielplus "
            f"cannot be read ({error}); pip install --force-reinstall urielplus -c constraints.txt"
        ) from error
