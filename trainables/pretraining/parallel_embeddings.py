"""Input embeddings from parallel text: tokens that occur in translations of each other get similar
embeddings.

Latent semantic indexing over languages (Dumais et al. 1997, "Automatic cross-language retrieval
using latent semantic indexing"): a matrix of tokens by parallel passages, whose entries are
positive pointwise mutual information; its left singular vectors are the embeddings. A passage is an
eighth of a text in all its languages, because translations mostly keep their order; this separates
words that occur in every text. A thousand texts give a start that masked language modelling alone
reaches only after far more text.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import svds
from transformers import PreTrainedTokenizerFast

from trainables.formats import encoding

NUM_PASSAGES = 8  # per text
SCALE = 0.5  # root mean square of an embedding's numbers; that of positions starts at 0.02


def parallel_embeddings(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[tuple[str, str]], width: int
) -> npt.NDArray[np.float32]:
    """Embeddings [vocabulary, width]; zeros for tokens that occur in no text.

    Args:
        texts: (id, text) in any language; texts of one id are translations of each other.

    Raises:
        ValueError: there are not more tokens and passages than `width`.
    """
    rows = {row_id: number for number, row_id in enumerate(dict.fromkeys(i for i, _ in texts))}
    shape = (len(tokenizer), NUM_PASSAGES * len(rows))
    if min(shape) <= width:
        raise ValueError(
            f"{shape[0]} tokens and {shape[1]} parallel passages; expected more than the width of "
            f"the embeddings, {width}, of each"
        )
    ids = encoding.tokenize(tokenizer, [text for _, text in texts])
    tokens = np.concatenate([np.asarray(row, np.int64) for row in ids])
    passages = [
        rows[row_id] * NUM_PASSAGES + np.arange(len(row)) * NUM_PASSAGES // max(1, len(row))
        for (row_id, _), row in zip(texts, ids, strict=True)
    ]
    cells = (tokens, np.concatenate(passages))
    counts = coo_matrix((np.ones(len(tokens)), cells), shape=shape).tocsr().tocoo()
    total, token_counts, passage_counts = counts.sum(), _sums(counts, axis=1), _sums(counts, axis=0)
    expected = token_counts[counts.row] * passage_counts[counts.col] / total
    information = np.maximum(np.log(counts.data / expected), 0)
    weights = coo_matrix((information, (counts.row, counts.col)), shape=shape).tocsr()
    vectors, _, _ = svds(weights, k=width, rng=np.random.default_rng(0))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12)
    embeddings: npt.NDArray[np.float32] = (unit * SCALE * width**0.5).astype(np.float32)
    return embeddings


def _sums(matrix: coo_matrix, *, axis: int) -> npt.NDArray[np.float64]:
    sums: npt.NDArray[np.float64] = np.asarray(matrix.sum(axis=axis)).ravel()
    return sums
