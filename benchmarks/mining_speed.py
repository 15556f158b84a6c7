"""Compares our search for nearest neighbours in pair mining with faiss's flat index, on the CPU.

    OMP_NUM_THREADS=1 python -m benchmarks.mining_speed [--rows 100000] [--write]

Both sides find the four nearest neighbours in both directions by cosine, exactly. The margin that
mining computes from them is not timed. The vectors are drawn in pairs that lie near each other, as
translations do. faiss is not a dependency of the project; `pip install -e '.[bench]'` installs it.
faiss uses all threads of OpenMP, and numpy all threads of its BLAS; both read OMP_NUM_THREADS.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common.measuring import RESULTS, Line, in_turns, options, publish
from trainables.scoring.bitext_mining import NUM_NEIGHBOURS, neighbours

Vectors = npt.NDArray[np.float32]
NOISE = 0.5  # length of the noise that is added to a pivot's unit vector to make its text's
MIN_SHARE = 0.9999  # share of equal neighbours; another order of summation may swap two of them
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # neighbours of texts, of pivots


def drawn(num_rows: int, width: int) -> tuple[Vectors, Vectors]:
    """Return texts and pivots as unit vectors, each [num_rows, width]; rows with the same index are
    a pair."""
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
    return time.perf_counter() - started, (forward.indices, backward.indices)


def flat(faiss: Any, texts: Vectors, pivots: Vectors) -> tuple[float, Found]:
    """Search with faiss by inner product, which is the cosine of unit vectors; one index per
    direction."""
    started = time.perf_counter()
    neighbours_found = []
    for queries, rows in ((texts, pivots), (pivots, texts)):
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(rows)
        neighbours_found.append(index.search(queries, NUM_NEIGHBOURS)[1])
    return time.perf_counter() - started, (neighbours_found[0], neighbours_found[1])


def same_share(first: Found, second: Found) -> float:
    """Return the share of equal neighbours; their order does not matter."""
    equal = [np.sort(a, axis=1) == np.sort(b, axis=1) for a, b in zip(first, second, strict=True)]
    return float(np.mean([matches.mean() for matches in equal]))


def main() -> None:
    parser = options("Compares the nearest neighbours of pair mining with faiss.")
    parser.add_argument("--rows", type=int, default=100_000, help="number of texts and of pivots")
    parser.add_argument("--width", type=int, default=256)
    arguments = parser.parse_args()
    try:
        import faiss
    except ImportError:
        sys.exit("faiss is not installed, so nothing was measured: pip install -e '.[bench]'")
    texts, pivots = drawn(arguments.rows, arguments.width)
    sides: dict[str, Callable[[], tuple[float, Any]]] = {
        "ours": lambda: ours(texts, pivots),
        "faiss": lambda: flat(faiss, texts, pivots),
    }
    timed = in_turns(sides, num_turns=arguments.turns)
    share = same_share(timed["ours"][1][0], timed["faiss"][1][0])
    assert share >= MIN_SHARE, f"{share:.5f} of the neighbours are the same"
    line = Line(
        name=f"mining, {arguments.rows} x {arguments.rows} of {arguments.width}, faiss IndexFlatIP",
        ours=timed["ours"][0],
        theirs=timed["faiss"][0],
        unit="s",
        equal=f"{share:.3%} of the neighbours",
    )
    facts = {"vectors": f"drawn, {NUM_NEIGHBOURS} neighbours in both directions"}
    publish("Mining", [line], facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
