"""Rows of data sets that no mirror has, made here by the hub's own schema: every language is read,
encoded and scored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.hub_tasks import XNLI
from trainables.examples import (
    Answer,
    ChoiceExample,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
)
from trainables.formats.kinds import format_of_task
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import Rows

NLI = ["entailment", "neutral", "contradiction"]
QQP = ["not_duplicate", "duplicate"]
Make = Callable[..., Path]


def nli(language: str, *labels: int) -> list[dict[str, Any]]:
    return [
        {"premise": f"P {language} {i}.", "hypothesis": f"H {i}.", "label": label}
        for i, label in enumerate(labels)
    ]


def encoded(rows: Rows, task: str, language: str, split: str, tokenizer) -> int:
    """How many sequences the rows are."""
    entry = SHIPPED.get(task)
    examples = rows.examples(entry, language, split)
    task_format = format_of_task(entry)
    return len(task_format.encode(examples, entry, tokenizer=tokenizer, max_length=32))


def test_xnli_in_its_fifteen_languages(make_root: Make, tokenizer) -> None:
    for code in XNLI:
        splits = {
            "train": nli(code, 0, 1, 2),
            "validation": nli(code, 2, 1),
            "test": nli(code, 0, 0, 2, 1),
        }
        root = make_root("facebook/xnli", code, splits, labels={"label": NLI})
    rows = Rows(str(root))
    assert rows.languages(SHIPPED.get("xnli"), SHIPPED.get("xnli").languages, "validation") == XNLI
    for code in XNLI:
        result = rows.examples(SHIPPED.get("xnli"), code, "test")
        assert [e.label for e in result if isinstance(e, PairExample)] == [
            NLI[i] for i in (0, 0, 2, 1)
        ]
        assert encoded(rows, "xnli", code, "validation", tokenizer) == 2
        assert {e.id for e in result} == {f"test-{i:06d}" for i in range(4)}  # parallel in all
    with pytest.raises(NoRowsError, match="'xnli' has no train rows"):
        rows.load(SHIPPED.get("xnli"), "de", "train")
    for code in set(XNLI) - {"en"}:  # the same data set has MNLI's translations
        assert encoded(rows, "mnli", code, "train", tokenizer) == 3
        assert len(rows.examples(SHIPPED.get("mnli"), code, "validation")) == 2
        with pytest.raises(NoRowsError, match="has no test rows"):
            rows.load(SHIPPED.get("mnli"), code, "test")


def test_labels_in_another_order_are_read_by_name(make_root: Make) -> None:
    """MNLI, SNLI, ANLI and XNLI agree today; what counts are the names in each file."""
    shuffled = ["contradiction", "entailment", "neutral"]
    root = make_root(
        "facebook/xnli", "de", {"test": nli("de", 0, 1, 2)}, labels={"label": shuffled}
    )
    result = Rows(str(root)).examples(SHIPPED.get("xnli"), "de", "test")
    assert [e.label for e in result if isinstance(e, PairExample)] == shuffled


def test_labels_without_names_are_refused(make_root: Make) -> None:
    root = make_root("facebook/xnli", "de", {"test": nli("de", 0, 1, 2)})
    with pytest.raises(Refusal, match=r"task 'xnli', row 'test-000000': unknown label '0'"):
        Rows(str(root)).load(SHIPPED.get("xnli"), "de", "test")


def test_labels_of_other_names_are_refused(make_root: Make) -> None:
    root = make_root(
        "facebook/xnli", "de", {"test": nli("de", 1)}, labels={"label": ["yes", "maybe", "no"]}
    )
    with pytest.raises(Refusal, match=r"row 'test-000000': unknown label 'maybe'"):
        Rows(str(root)).load(SHIPPED.get("xnli"), "de", "test")


def test_qqp_is_cut_and_its_empty_questions_are_dropped(make_root: Make, tokenizer) -> None:
    pairs = [
        {"question1": f"Why {i}?", "question2": f"Why not {i}?", "label": i % 2, "idx": i}
        for i in range(200)
    ]
    empty = {"question1": "Why?", "question2": " ", "label": 0, "idx": 200}
    hidden = [{**row, "label": -1} for row in pairs[:3]]
    splits = {"train": [*pairs, empty], "validation": pairs, "test": hidden}
    root = make_root("nyu-mll/glue", "qqp", splits, labels={"label": QQP})
    rows = Rows(str(root))
    train = rows.load(SHIPPED.get("qqp"), "en", "train")
    assert (len(train.examples), train.num_dropped) == (200, 1)
    assert {e.label for e in train.examples if isinstance(e, PairExample)} == set(QQP)
    halves = [rows.examples(SHIPPED.get("qqp"), "en", split) for split in ("validation", "test")]
    assert sum(map(len, halves)) == 200
    assert not {e.id for e in halves[0]} & {e.id for e in halves[1]}
    assert encoded(rows, "qqp", "en", "train", tokenizer) == 200


def test_gold_pairs_of_bucc(make_root: Make, tokenizer) -> None:
    for code in SHIPPED.get("buccpairs").languages:
        pairs = [
            {
                "source_sentence": f"Satz {i} {code}.\n",
                "target_sentence": f"Sentence {i}.\n",
                "source_lang": f"{code}-{i:09d}",
                "target_lang": f"en-{i:09d}",
            }
            for i in range(5)
        ]
        root = make_root(
            "google/xtreme", f"bucc18.{code}", {"validation": pairs, "test": pairs[:3]}
        )
    rows = Rows(str(root))
    for code in SHIPPED.get("buccpairs").languages:
        first = rows.examples(SHIPPED.get("buccpairs"), code, "test")[0]
        assert first == RetrievalExample(
            id=f"{code}-000000000", text=f"Satz 0 {code}.", pivot="Sentence 0."
        )
        assert encoded(rows, "buccpairs", code, "validation", tokenizer) == 10


LONG = "sea " * 20_000
LONG_ROWS = {
    "xnli": PairExample(id="long", text_a=LONG, text_b="H.", label="neutral"),
    "xcopa": ChoiceExample(id="long", text=LONG, choices=("sea", LONG), label=0),
    "mlqa": SpanExample(
        id="long", question="Sea?", context=LONG, answers=(Answer(text="sea", start=4 * 19_000),)
    ),
    "udpos": TaggingExample(id="long", words=("sea",) * 20_000, tags=("NOUN",) * 20_000),
    "buccpairs": RetrievalExample(id="long", text=LONG, pivot="sea"),
    "bucc": SentenceExample(id="long", text=LONG, is_pivot=False, partners=()),
}


@pytest.mark.parametrize("task", LONG_ROWS)
def test_a_text_of_twenty_thousand_words_is_cut_and_counted(task: str, tokenizer) -> None:
    """Contexts and tagged sentences lose nothing: they become windows."""
    entry, row = SHIPPED.get(task), LONG_ROWS[task]
    task_format = format_of_task(entry)
    task_format.check(row, entry)
    features = task_format.encode([row], entry, tokenizer=tokenizer, max_length=64)
    assert features.input_ids.lengths.max() <= 64
    assert features.num_truncated == (task not in ("udpos", "mlqa"))
    if task == "udpos":
        words = {word for s in range(len(features)) for word in features.origins[s].tolist()}
        assert words == {-1, *range(20_000)}
    if task == "mlqa":
        spans = [features.origins[s].reshape(-1, 2) for s in range(len(features))]
        assert {int(first) for span in spans for first in span[:, 0]} >= set(range(0, len(LONG), 4))
        assert any(features.labels[s][0] for s in range(len(features)))
