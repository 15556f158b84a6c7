"""Translations start near each other: on planted words, and on real text."""

from pathlib import Path

import numpy as np
import pytest

from spaces.tasks.catalogue import SHIPPED
from trainables.examples import TextExample
from trainables.pocket.tokenizer import fast_tokenizer, train_pieces
from trainables.pretraining.parallel_embeddings import SCALE, parallel_embeddings
from trainables.rows.rows import Rows

ENGLISH = ("north", "river", "seven", "garden", "window", "yellow", "butter", "market")


def planted() -> list[tuple[str, str]]:
    """Texts of four words in two languages that share no word: the other one spells backwards."""
    rng = np.random.default_rng(0)
    texts = []
    for number in range(60):
        words = [ENGLISH[i] for i in rng.permutation(len(ENGLISH))[:4]]
        texts += [
            (str(number), " ".join(words)),
            (str(number), " ".join(word[::-1].upper() for word in words)),
        ]
    return texts


def tokenizer_of(texts: list[tuple[str, str]], size: int):
    rows = [TextExample(id=row_id, text=text, pair=None) for row_id, text in texts]
    return fast_tokenizer(train_pieces(rows, size), max_length=64)


def test_a_word_lies_next_to_its_translation() -> None:
    texts = planted()
    tokenizer = tokenizer_of(texts, 400)
    vectors = parallel_embeddings(tokenizer, texts, 8)
    assert vectors.shape == (len(tokenizer), 8)
    assert vectors.dtype == np.float32

    def of(word: str) -> np.ndarray:
        (piece,) = tokenizer(word, add_special_tokens=False)["input_ids"]
        return vectors[piece] / np.linalg.norm(vectors[piece])

    others = np.stack([of(word[::-1].upper()) for word in ENGLISH])
    for index, word in enumerate(ENGLISH):
        assert int((others @ of(word)).argmax()) == index, word


def test_their_size_and_the_pieces_that_stand_nowhere() -> None:
    texts = planted()
    tokenizer = tokenizer_of(texts, 400)
    vectors = parallel_embeddings(tokenizer, texts, 8)
    assert not vectors[tokenizer.mask_token_id].any()
    seen = vectors[vectors.any(axis=1)]
    assert np.sqrt(np.square(seen).mean(axis=1)) == pytest.approx(SCALE, rel=1e-5)
    assert np.array_equal(vectors, parallel_embeddings(tokenizer, texts, 8))


def test_too_little_text_is_refused() -> None:
    texts = planted()[:4]
    with pytest.raises(ValueError, match="16 parallel passages; expected more than the width"):
        parallel_embeddings(tokenizer_of(texts, 300), texts, 32)


def test_real_sentences_find_their_translation(mirror: Path) -> None:
    """Far above the random embeddings of the same pieces, in languages of four scripts."""
    rows = Rows(str(mirror))
    codes = ("en", "de", "ru", "ar", "zh")
    texts = [
        (r.id, r.text)
        for code in codes
        for r in rows.examples(SHIPPED.get("flores"), code, "train")
    ]
    tokenizer = tokenizer_of(texts, 6000)
    vectors = parallel_embeddings(tokenizer, texts, 64)
    drawn = np.random.default_rng(0).normal(size=vectors.shape)
    for code in codes[1:]:
        result = rows.examples(SHIPPED.get("tatoeba"), code, "validation")[:100]
        accuracy = {}
        for name, table in (("parallel", vectors), ("random", drawn)):
            sides = []
            for side in ("pivot", "text"):
                predicted = [getattr(row, side) for row in result]
                ids = tokenizer(predicted, add_special_tokens=False)["input_ids"]
                means = np.stack([table[row].mean(axis=0) for row in ids])
                sides.append(means / np.linalg.norm(means, axis=1, keepdims=True))
            hits = (sides[0] @ sides[1].T).argmax(axis=1) == np.arange(len(result))
            accuracy[name] = hits.mean()
        assert accuracy["parallel"] > 2 * accuracy["random"], (code, accuracy)
