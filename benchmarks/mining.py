"""Nearest neighbours for the mining of pairs against faiss's flat index, on the CPU.

    OMP_NUM_THREADS=1 python -m benchmarks.mining [--rows 100000] [--write]

Both find four neighbours in both directions by cosine, exactly; the margin is the same arithmetic
afterwards. Vectors are drawn: pairs that lie near each other, as those of translations do. faiss is
no dependency of the project: `pip install -e '.[bench]'` brings it. It takes every thread that
OpenMP has, numpy every one of its BLAS; both read OMP_NUM_THREADS.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measuring import RESULTS, Line, in_turns, options, publish
from trainables.scoring.bitext_mining import NUM_NEIGHBOURS, neighbours

Vectors = npt.NDArray[np.float32]
NOISE = 0.5  # of a unit vector: a text beside its pivot
MIN_SHARE = 0.9999  # of neighbours that must be the same; sums in another order may swap two
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # of texts, of pivots


def drawn(num_rows: int, width: int) -> tuple[Vectors, Vectors]:
    """Texts and pivots [num_rows, width], unit vectors; row i of one is a pair with row i of the
    other."""
    rng = np.random.default_rng(0)
    pivots = unit(rng.standard_normal((num_rows, width), dtype=np.float32))
    noise = unit(rng.standard_normal((num_rows, width), dtype=np.float32))
    return unit(pivots + NOISE * noise), pivots


def unit(vectors: Vectors) -> Vectors:
    norms: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return norms


def ours(texts: Vectors, pivots: Vectors) -> tuple[float, Found]:
    started = time.perf_counter()
    forward, backward = neighbours(texts, pivots)
    return time.perf_counter() - started, (forward.places, backward.places)


def flat(faiss: Any, texts: Vectors, pivots: Vectors) -> tuple[float, Found]:
    """By inner product, which is the cosine of unit vectors; an index for each direction."""
    started = time.perf_counter()
    found = []
    for queries, rows in ((texts, pivots), (pivots, texts)):
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(rows)
        found.append(index.search(queries, NUM_NEIGHBOURS)[1])
    return time.perf_counter() - started, (found[0], found[1])


def same_share(first: Found, second: Found) -> float:
    """How many of the neighbours are the same, in whatever order."""
    equal = [np.sort(a, axis=1) == np.sort(b, axis=1) for a, b in zip(first, second, strict=True)]
    return float(np.mean([each.mean() for each in equal]))


def main() -> None:
    parser = options("Mining's nearest neighbours against faiss.")
    parser.add_argument("--rows", type=int, default=100_000, help="of each side")
    parser.add_argument("--width", type=int, default=256)
    given = parser.parse_args()
    try:
        import faiss
    except ImportError:
        sys.exit("faiss is not installed, so nothing was measured: pip install -e '.[bench]'")
    texts, pivots = drawn(given.rows, given.width)
    sides: dict[str, Callable[[], tuple[float, Any]]] = {
        "ours": lambda: ours(texts, pivots),
        "faiss": lambda: flat(faiss, texts, pivots),
    }
    timed = in_turns(sides, num_turns=given.turns)
    share = same_share(timed["ours"][1][0], timed["faiss"][1][0])
    assert share >= MIN_SHARE, f"{share:.5f} of the neighbours are the same"
    line = Line(
        name=f"mining, {given.rows} x {given.rows} of {given.width}, faiss IndexFlatIP",
        ours=timed["ours"][0],
        theirs=timed["faiss"][0],
        unit="s",
        equal=f"{share:.3%} of the neighbours",
    )
    facts = {"vectors": f"drawn, {NUM_NEIGHBOURS} neighbours in both directions"}
    publish("Mining", [line], facts=facts, results=RESULTS if given.write else None)


if __name__ == "__main__":
    main()
