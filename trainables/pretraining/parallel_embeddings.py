"""Input embeddings from parallel text: pieces that stand in translations of each other are near.

Latent semantic indexing over languages (Dumais et al. 1997, "Automatic cross-language retrieval
using latent semantic indexing"): a matrix of pieces by parallel passages, whose entries are
positive pointwise mutual information; its left singular vectors are the embeddings. A passage is
an eighth of a text in all its languages, since translations mostly keep their order: this tells
words apart that stand in every text. A thousand texts are enough for a start that masked language
modelling alone reaches only after far more.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import svds
from transformers import PreTrainedTokenizerFast

from trainables.formats import encoding

NUM_PASSAGES = 8  # of a text
SCALE = 0.5  # of a number of an embedding: content outweighs position, which starts at 0.02


def parallel_embeddings(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[tuple[str, str]], width: int
) -> npt.NDArray[np.float32]:
    """[vocabulary, width]; zeros for pieces that stand in no text.

    Args:
        texts: (id, text) in any language; texts of one id are translations.

    Raises:
        ValueError: there are no more passages than `width`.
    """
    rows = {row_id: number for number, row_id in enumerate(dict.fromkeys(i for i, _ in texts))}
    shape = (len(tokenizer), NUM_PASSAGES * len(rows))
    if min(shape) <= width:
        raise ValueError(
            f"{shape[0]} pieces and {shape[1]} parallel passages; expected more than the width of "
            f"the embeddings, {width}"
        )
    ids = encoding.tokenize(tokenizer, [text for _, text in texts])
    pieces = np.concatenate([np.asarray(row, np.int64) for row in ids])
    places = [
        rows[row_id] * NUM_PASSAGES + np.arange(len(row)) * NUM_PASSAGES // max(1, len(row))
        for (row_id, _), row in zip(texts, ids, strict=True)
    ]
    cells = (pieces, np.concatenate(places))
    counts = coo_matrix((np.ones(len(pieces)), cells), shape=shape).tocsr().tocoo()
    total, of_piece, of_row = counts.sum(), _sums(counts, axis=1), _sums(counts, axis=0)
    by_chance = of_piece[counts.row] * of_row[counts.col] / total
    information = np.maximum(np.log(counts.data / by_chance), 0)
    weights = coo_matrix((information, (counts.row, counts.col)), shape=shape).tocsr()
    vectors, _, _ = svds(weights, k=width, rng=np.random.default_rng(0))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12)
    found: npt.NDArray[np.float32] = (unit * SCALE * width**0.5).astype(np.float32)
    return found


def _sums(matrix: coo_matrix, *, axis: int) -> npt.NDArray[np.float64]:
    sums: npt.NDArray[np.float64] = np.asarray(matrix.sum(axis=axis)).ravel()
    return sums
