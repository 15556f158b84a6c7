import numpy as np
import pytest
import torch

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.examples import SentenceExample
from trainables.formats.base import RowError, collate
from trainables.formats.kinds import format_of_task
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import RetrievalFormat
from trainables.scoring.outcomes import score_of

TASK = SHIPPED.get("bucc")
FORMAT = MiningFormat()
TEXTS = ("東京", "暑い日でした", "猫", "海 " * 40)
PIVOTS = ("Tokyo", "A warm day", "sea " * 40, "A mat")
GOLD = {0: 0, 1: 1, 3: 2}  # text -> pivot


def rows() -> list[SentenceExample]:
    partners = {pivot: text for text, pivot in GOLD.items()}
    return [
        *(
            SentenceExample(
                id=f"de-{i}",
                text=text,
                is_pivot=False,
                partners=(f"en-{GOLD[i]}",) if i in GOLD else (),
            )
            for i, text in enumerate(TEXTS)
        ),
        *(
            SentenceExample(
                id=f"en-{i}",
                text=text,
                is_pivot=True,
                partners=(f"de-{partners[i]}",) if i in partners else (),
            )
            for i, text in enumerate(PIVOTS)
        ),
    ]


def near_gold(examples: list[SentenceExample]) -> list[np.ndarray]:
    """Gold partners have nearly the same vector, all others unrelated ones."""
    rng = np.random.default_rng(0)
    result = {e.id: rng.normal(size=32).astype(np.float32) for e in examples if not e.is_pivot}
    for e in examples:
        if e.is_pivot:
            noise = rng.normal(size=32).astype(np.float32)
            result[e.id] = result[e.partners[0]] + 0.1 * noise if e.partners else noise
    return [result[e.id] for e in examples]


def features_of(tokenizer, examples):
    return FORMAT.encode(examples, TASK, tokenizer=tokenizer, max_length=20)


def test_the_task_of_mined_pairs_has_this_format() -> None:
    assert isinstance(format_of_task(TASK, retrieval_layer=2), MiningFormat)
    assert isinstance(format_of_task(SHIPPED.get("buccpairs")), RetrievalFormat)
    assert format_of_task(TASK, retrieval_layer=2).layer == 2


def test_one_sequence_a_sentence(tokenizer) -> None:
    features = features_of(tokenizer, rows())
    for s, example in enumerate(rows()):
        expected = tokenizer(example.text, truncation=True, max_length=20)["input_ids"]
        assert features.input_ids[s].tolist() == expected
    assert features.example.tolist() == list(range(8))
    assert features.num_truncated == 2


def test_a_vector_is_the_mean_at_the_chosen_layer(tokenizer) -> None:
    features = features_of(tokenizer, rows())
    batch = collate(features, [0, 3], pad_id=1)
    hidden = tuple(torch.randn(2, batch.input_ids.shape[1], 8) for _ in range(5))
    for s, output in enumerate(MiningFormat(layer=3).predict(None, hidden, batch)):
        length = int(batch.attention_mask[s].sum())
        expected = hidden[3][s, :length].mean(dim=0)
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-6)


def test_gold_pairs_come_back(tokenizer) -> None:
    examples = rows()
    result = FORMAT.decode(near_gold(examples), features_of(tokenizer, examples), examples, TASK)
    for text, pivot in GOLD.items():
        assert result[text] is not None
        assert result[text][0] == f"en-{pivot}"
    assert result[4:] == [None] * 4
    assert FORMAT.score(result, examples, TASK, "de") == {"f1": 1, "precision": 1, "recall": 1}


def test_a_threshold_is_fixed_on_some_rows_and_used_on_others() -> None:
    dev, dev_found = rows(), [("en-0", 1.5), ("en-1", 1.4), ("en-3", 1.2), None, *[None] * 4]
    fixed = FORMAT.with_threshold_of(dev_found, dev)
    assert fixed.threshold == pytest.approx(1.3)
    result = [("en-0", 1.25), ("en-1", 1.4), ("en-3", 1.31), None, *[None] * 4]
    scores = fixed.score(result, dev, TASK, "de")
    # en-0 lies below; en-3 is wrong; and the third gold pair was not found
    assert scores["precision"] == pytest.approx(1 / 2)
    assert scores["recall"] == pytest.approx(1 / 3)
    assert FORMAT.score(result, dev, TASK, "de")["f1"] > scores["f1"]


def test_the_rows_of_mined_pairs_make_up_the_f1() -> None:
    """A pair is counted in the row of its sentence; English rows count nothing."""
    result = [("en-0", 1.25), ("en-3", 1.4), None, None, *[None] * 4]
    metrics, outcomes = FORMAT.judge(result, rows(), TASK, "de")
    fixed, few = MiningFormat(threshold=1.0).judge(result, rows(), TASK, "de")
    assert few.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 0], [0, 0, 1], *[[0, 0, 0]] * 4]
    assert score_of(few) == fixed["f1"] == pytest.approx(2 / 5)
    assert score_of(outcomes) == metrics["f1"]


def test_sentences_that_stand_twice_do_not_count(tokenizer) -> None:
    twice = SentenceExample(id="de-9", text=TEXTS[0], is_pivot=False, partners=())
    examples = [*rows(), twice]
    outputs = [*near_gold(rows()), np.ones(32, np.float32)]
    result = FORMAT.decode(outputs, features_of(tokenizer, examples), examples, TASK)
    assert result[0] is None
    assert result[-1] is None
    assert FORMAT.score(result, examples, TASK, "de")["recall"] == pytest.approx(2 / 3)


def test_only_gold_pairs_of_which_both_sentences_are_there_count(tokenizer) -> None:
    examples = [row for row in rows() if row.id != "en-0"]
    outputs = [v for v, row in zip(near_gold(rows()), rows(), strict=True) if row.id != "en-0"]
    result = FORMAT.decode(outputs, features_of(tokenizer, examples), examples, TASK)
    assert FORMAT.score(result, examples, TASK, "de")["recall"] == 1
    one_side = [row for row in rows() if not row.is_pivot]
    assert (
        FORMAT.decode(outputs[:4], features_of(tokenizer, one_side), one_side, TASK) == [None] * 4
    )


def test_rows_without_a_gold_pair_are_refused_and_not_scored() -> None:
    examples = [row for row in rows() if not row.partners]
    with pytest.raises(Refusal, match=r"no gold pair among 2 sentences in 'de'; raise eval"):
        FORMAT.score([None] * 2, examples, TASK, "de")


def test_an_empty_sentence_is_refused() -> None:
    with pytest.raises(RowError, match="row 'de-1': text is empty"):
        FORMAT.check(SentenceExample(id="de-1", text=" ", is_pivot=False, partners=()), TASK)
