"""How far languages lie from one another: URIEL's typological distances, and their scripts.

The tables are those that the package urielplus brings (URIEL+, Khan et al., 2025, COLING:463). They
are read where they lie: the package itself copies them into its own folder when it starts, which a
read-only image does not allow, and it takes the root logger with it.
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
MIN_SHARED = 10  # features that both languages are described by; of fewer no distance is made

_FOLDER = "database/original_uriel"

Distances = dict[str, dict[str, float]]
_Vectors = npt.NDArray[np.float64]


def distances(source: str, languages: Iterable[str]) -> Distances:
    """Kind -> language -> its distance from `source`, in [0, 1]; pairs that URIEL does not
    describe well enough are left out.

    URIEL's kinds are angles between vectors of features, a right angle being 1, over the features
    known of both. `script` is 0 or 1: written in the same script or in another (ISO 15924).
    Loading the tables takes about two seconds, once. Raises Refusal where they are not there.
    """
    known = [code for code in languages if code in LANGUAGES and source in LANGUAGES]
    found: Distances = {kind: {} for kind in KINDS}
    for kind, by_language in found.items():
        for code in known:
            distance = _distance(_row(kind, source), _row(kind, code))
            if distance is not None:
                by_language[code] = 0.0 if code == source else distance
    here = LANGUAGES[source].script if source in LANGUAGES else ""
    return found | {SCRIPT: {code: float(LANGUAGES[code].script != here) for code in known}}


def _distance(one: _Vectors, other: _Vectors) -> float | None:
    """2/π of the angle between two vectors of features, -1 being an unknown one, as urielplus's
    `new_distance` has it. None of fewer than MIN_SHARED features; languages that no feature says
    anything of (isolates, in the table of families) have nothing in common."""
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
    found: _Vectors = vectors[code][chosen]
    return found


@cache
def _table(name: str) -> tuple[npt.NDArray[np.str_], dict[str, _Vectors]]:
    """Names of the features, and our languages' values of them: 0 to 1, or -1 where no source says
    anything; where several do, the highest (a feature that one source found is there)."""
    try:
        with (files("urielplus") / _FOLDER / f"{name}.npz").open("rb") as file:
            content = np.load(file, allow_pickle=False)
            position = {str(code): i for i, code in enumerate(content["langs"])}
            rows = {code: position[one.uriel] for code, one in LANGUAGES.items()}
            data = content["data"]  # [languages, features, sources]
            return content["feats"], {
                code: data[row].max(axis=-1).astype(np.float64) for code, row in rows.items()
            }
    except (ModuleNotFoundError, OSError, ValueError, KeyError, BadZipFile) as error:
        raise Refusal(
            f"distances between languages are not known: table {name} of the package urielplus "
            f"cannot be read ({error}); pip install --force-reinstall urielplus -c constraints.txt"
        ) from error
