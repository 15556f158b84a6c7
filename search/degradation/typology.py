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

from spaces.languages import known_language
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
    known of both. `script` is 0 for the same script and 1 for another (ISO 15924). Loading the
    tables takes about two seconds, once. Raises Refusal where they cannot be read.
    """
    here, there = known_language(source), {code: known_language(code) for code in languages}
    known = {code: other for code, other in there.items() if other is not None}
    found: Distances = {kind: {} for kind in (*KINDS, SCRIPT)}
    if here is None:
        return found
    for kind in KINDS:
        for code, other in known.items():
            distance = _distance(_row(kind, here.uriel), _row(kind, other.uriel))
            if distance is not None:
                found[kind][code] = 0.0 if here.uriel == other.uriel else distance
    written = {code: other.script for code, other in known.items() if here.script and other.script}
    found[SCRIPT] = {code: float(script != here.script) for code, script in written.items()}
    return found


def family_of(code: str) -> str:
    """The language's top-level family, by Glottolog's names; the code where none is known, so that
    an isolate or an unknown language is a family of its own.

    Outside the table of languages it is the largest of URIEL's families that the language is in.
    Raises Refusal where URIEL's tables are not there.
    """
    language = known_language(code)
    if language is None or language.family:
        return language.family if language else code
    names, position, values = _table("family_features")
    if language.uriel not in position:
        return code
    sizes = np.where(values[position[language.uriel]] > 0, _family_sizes(), 0)
    return str(names[sizes.argmax()]).removeprefix("F_") if sizes.any() else code


@cache
def _family_sizes() -> npt.NDArray[np.int64]:
    """How many languages each of URIEL's families has."""
    sizes: npt.NDArray[np.int64] = (_table("family_features")[2] > 0).sum(axis=0)
    return sizes


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


def _row(kind: str, uriel: str) -> _Vectors:
    """The features of one language, all unknown (-1) where the table does not have it."""
    table, prefix = KINDS[kind]
    names, position, values = _table(table)
    chosen = np.char.startswith(names, prefix)
    if uriel not in position:
        return np.full(chosen.sum(), -1.0)
    features: _Vectors = values[position[uriel]][chosen].astype(np.float64)
    return features


@cache
def _table(name: str) -> tuple[npt.NDArray[np.str_], dict[str, int], npt.NDArray[np.floating]]:
    """Names of the features, the row of each language (by ISO 639-3), and [languages, features]
    their values: 0 to 1, or -1 where no source says anything; where several do, the highest (a
    feature that one source found is there)."""
    try:
        with (files("urielplus") / _FOLDER / f"{name}.npz").open("rb") as file:
            content = np.load(file, allow_pickle=False)
            position = {str(code): i for i, code in enumerate(content["langs"])}
            values = content["data"].max(axis=-1)  # of [languages, features, sources]
            return content["feats"], position, values
    except (ModuleNotFoundError, OSError, ValueError, KeyError, BadZipFile) as error:
        raise Refusal(
            f"distances between languages are not known: table {name} of the package urielplus "
            f"cannot be read ({error}); pip install --force-reinstall urielplus -c constraints.txt"
        ) from error
