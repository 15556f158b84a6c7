import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from spaces.tasks.pocket_tasks import POCKET_POS
from spaces.tasks.target_tasks import ENTITIES, UNIVERSAL_POS
from trainables.scoring import metrics
from trainables.scoring.normalization import mlqa_normalizer

# prefixes in and out of order, types that change inside a span, UD's tags without prefix, and the
# odd ones: a bare prefix, a type with a hyphen, seqeval's own `.`
BIO = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B", "B", "I")
UD = (
    "NOUN",
    "VERB",
    "PROPN",
    "ADJ",
    "ADP",
    "SCONJ",
    "SYM",
    "INTJ",
    "PUNCT",
    "X",
    "_",
    ".",
    "E",
    "S",
)
Rows = tuple[list[list[str]], list[list[str]]]


def pairs_of(labels: tuple[str, ...]) -> st.SearchStrategy[Rows]:
    """Predictions and gold tags of a few sentences."""
    tags = st.sampled_from(labels)
    sentence = st.lists(st.tuples(tags, tags), min_size=1, max_size=12)
    return st.lists(sentence, min_size=1, max_size=4).map(
        lambda rows: (
            [[predicted for predicted, _ in row] for row in rows],
            [[gold for _, gold in row] for row in rows],
        )
    )


PAIRS = pairs_of((*BIO, *UD))


def seqeval(predictions: list[list[str]], golds: list[list[str]]) -> float:
    """What the installed version says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(f1_score(golds, predictions))


@given(PAIRS)
def test_span_f1_with_cut_types_is_seqevals(rows: Rows) -> None:
    predictions, golds = rows
    assert metrics.span_f1(predictions, golds, cut=True) == pytest.approx(seqeval(*rows))


@given(pairs_of(BIO))
def test_tags_with_a_prefix_are_counted_as_seqeval_does(
    rows: Rows,
) -> None:
    assert metrics.span_f1(*rows) == pytest.approx(seqeval(*rows))
    assert metrics.span_counts(*rows) == metrics.span_counts(*rows, cut=True)


# gold, predicted, F1 of seqeval 0.0.12 (XTREME's), F1 of seqeval from 0.0.16 on
OLD_AND_NEW = [
    ("SCONJ VERB", "CCONJ VERB", 0.5, 1),
    ("SCONJ CCONJ", "CCONJ SCONJ", 0, 0),
    ("CCONJ CCONJ NOUN", "CCONJ SCONJ NOUN", 0.4, 0.5),
    ("X NOUN / X", "X NOUN / X", 1, 1),
    ("X", "NOUN", 0, 0),
    ("SYM SYM PUNCT", "SYM PUNCT PUNCT", 0.4, 0.4),
    ("INTJ INTJ", "INTJ NOUN", 0, 0),
    ("PROPN PROPN / PROPN", "PROPN NOUN / PROPN", 0.4, 0.4),
    ("PER LOC O PER", "PER PER O PER", 0.4, 0.4),
    ("O PER DER", "O PER PER", 0, 1),
    ("B-PER I-PER O B-LOC", "B-PER O O B-LOC", 0.5, 0.5),
    ("I-PER B-PER", "I-PER I-PER", 0, 0),
    ("S-LOC E-PER O", "B-LOC I-PER O", 1, 1),
]


@pytest.mark.parametrize(("gold", "predicted", "whole", "cut"), OLD_AND_NEW)
def test_types_without_prefix_are_whole_as_in_xtremes_seqeval(
    gold: str, predicted: str, whole: float, cut: float
) -> None:
    golds, predictions = (
        [part.split() for part in side.split(" / ")] for side in (gold, predicted)
    )
    assert metrics.span_f1(predictions, golds) == pytest.approx(whole)
    assert metrics.span_f1(predictions, golds, cut=True) == pytest.approx(cut)
    assert seqeval(predictions, golds) == pytest.approx(cut)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (UNIVERSAL_POS, True),
        (("CCONJ", "NOUN", "SCONJ"), True),
        (("NOUN", "X"), True),  # without its letter X is what the gap between sentences is
        (("ADP", "CCONJ", "NOUN"), False),
        (("O", "PER", "LOC"), False),
        (ENTITIES, False),
        (("O", "B", "I"), False),
        (("O", "B-A-B", "I-A-B", "B-B"), False),
        (("O", "B-PER", "I-PER", "MISC", "DISC"), True),
    ],
)
def test_labels_whose_types_are_told_apart_by_the_first_letter(
    labels: tuple[str, ...], expected: bool
) -> None:
    assert metrics.has_cut_types(labels) is expected


@given(st.data())
def test_where_no_two_types_are_one_both_numbers_agree(data: st.DataObject) -> None:
    labels = data.draw(st.sampled_from((POCKET_POS, ENTITIES, ("O", "PER", "LOC"))))
    rows = data.draw(pairs_of(labels))
    assert metrics.span_counts(*rows) == metrics.span_counts(*rows, cut=True)


def test_span_f1_by_hand() -> None:
    golds = [("B-PER", "I-PER", "O", "B-LOC")]
    assert metrics.span_f1(golds, golds) == 1
    assert metrics.span_f1([("B-PER", "O", "O", "B-LOC")], golds) == pytest.approx(0.5)
    assert metrics.span_f1([("I-PER", "I-PER", "O", "I-LOC")], golds) == 1  # conlleval forgives
    assert metrics.span_f1([("O", "O")], [("O", "O")]) == 0
    # runs of a tag without prefix are one span: half of the second run wrong loses all of it
    golds = [("NOUN", "NOUN", "VERB", "VERB")]
    assert metrics.span_f1([("NOUN", "NOUN", "VERB", "ADP")], golds) == pytest.approx(0.4)


@given(PAIRS)
def test_spans_are_counted_where_they_end(rows: Rows) -> None:
    """Sentence by sentence where no tag is malformed; the sums are those of all sentences. A bare
    prefix has no type: seqeval takes it for what went on in the sentence before."""
    counts = metrics.span_counts(*rows)
    assert metrics.micro_f1(counts) == metrics.span_f1(*rows)
    alone = [
        metrics.span_counts([predicted], [gold])[0] for predicted, gold in zip(*rows, strict=True)
    ]
    if not any(len(tag) == 1 and tag not in "OX" for side in rows for tags in side for tag in tags):
        assert counts == alone


def test_tag_accuracy_counts_words_not_sentences() -> None:
    assert metrics.tag_accuracy([("O",), ("X", "O", "O")], [("O",), ("O", "O", "O")]) == 0.75


def test_accuracy() -> None:
    assert metrics.accuracy(["a", "b", "b", "b"], ["a", "b", "c", "b"]) == 0.75


@pytest.mark.parametrize("score", [metrics.accuracy, metrics.tag_accuracy, metrics.span_f1])
def test_nothing_to_score_and_unequal_numbers_are_refused(score) -> None:
    with pytest.raises(ValueError, match="no rows"):
        score([], [])
    with pytest.raises(ValueError, match="2 predictions for 1 gold"):
        score([("O",), ("O",)], [("O",)])


def test_span_f1_refuses_a_sentence_with_a_tag_too_many() -> None:
    with pytest.raises(ValueError, match="2 predicted tags for a sentence of 1 words"):
        metrics.span_f1([("O", "O")], [("O",)])
    assert metrics.span_f1([(), ("B-X",)], [(), ("B-X",)]) == 1
    with pytest.raises(ValueError, match="no words"):
        metrics.tag_accuracy([()], [()])


LABELS = st.sampled_from(("O", "B-X", "I-X"))
GOLDS = st.lists(LABELS, min_size=1, max_size=60)


@given(GOLDS)
def test_right_answers_are_never_collapsed(golds: list[str]) -> None:
    assert metrics.collapsed_to(golds, golds) is None


@given(GOLDS, LABELS)
def test_one_answer_to_everything_is_collapsed_where_there_are_others(
    golds: list[str], label: str
) -> None:
    expected = None if set(golds) == {label} else label
    assert metrics.collapsed_to([label] * len(golds), golds) == expected


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60), st.permutations(range(3)))
def test_collapse_does_not_depend_on_what_labels_are_called(rows, order: list[int]) -> None:
    names = dict(zip(("O", "B-X", "I-X"), (f"{number}" for number in order), strict=True))
    predictions, golds = ([row[side] for row in rows] for side in (0, 1))
    renamed = metrics.collapsed_to([names[p] for p in predictions], [names[g] for g in golds])
    result = metrics.collapsed_to(predictions, golds)
    assert renamed == (None if result is None else names[result])


@pytest.mark.parametrize(
    ("num_found", "num_false", "is_collapsed"),
    [
        (8, 0, False),  # 8 of 1,000 words are entities, and all are found
        (3, 0, False),  # three of them: 99.7 % of what is said is `O`, rightly so for most
        (0, 0, True),
        (0, 5, True),  # what else is said is wrong
        (0, 20, False),  # no longer one label: what is wrong with it, its score tells
    ],
)
def test_rare_labels_that_are_found_are_no_collapse(
    num_found: int, num_false: int, is_collapsed: bool
) -> None:
    golds = ["B-X"] * 8 + ["O"] * 992
    missed = ["O"] * (8 - num_found)
    predictions = ["B-X"] * num_found + missed + ["B-X"] * num_false + ["O"] * (992 - num_false)
    assert metrics.collapsed_to(predictions, golds) == ("O" if is_collapsed else None)


def test_answers_are_scored_against_the_nearest_gold() -> None:
    golds = ["the Eiffel Tower", "Tower"]
    assert metrics.exact_match("eiffel tower.", golds) == 1
    assert metrics.exact_match("eiffel", golds) == 0
    assert metrics.token_f1("Tower of London", golds) == pytest.approx(0.5)
    assert metrics.token_f1("a tower", golds) == 1
    assert metrics.token_f1("bridge", golds) == 0
    # tokens are a bag: a repeated one counts as often as both have it
    assert metrics.token_f1("no no", ["no no no"]) == pytest.approx(0.8)


def test_unanswerable_rows_are_right_when_empty() -> None:
    for score in (metrics.exact_match, metrics.token_f1):
        assert score("", []) == 1
        assert score("something", []) == 0
        assert score("", ["something"]) == 0


def test_an_answer_without_words_scores_as_in_squad_v1() -> None:
    assert metrics.exact_match("%", ["%"]) == 1
    assert metrics.token_f1("%", ["%"]) == 0


@pytest.mark.parametrize(
    ("language", "answer", "gold", "squad", "mlqa"),
    [
        ("en", "the cat", "cat", (1, 1), (1, 1)),
        ("de", "der Hund", "Hund", (2 / 3, 0), (1, 1)),  # Latin
        ("en", "Москва.", "«Москва»", (0, 0), (1, 1)),  # Cyrillic: quotation marks are not ASCII
        ("ar", "القاهرة", "قاهرة", (0, 0), (1, 1)),  # Arabic
        ("hi", "दिल्ली।", "दिल्ली", (0, 0), (1, 1)),  # Devanagari
        ("en", "“กรุงเทพ”", "กรุงเทพ", (0, 0), (1, 1)),  # Thai
        ("zh", "北京市", "北京", (0, 0), (4 / 5, 0)),  # Han: a token a character
    ],
)
def test_answers_in_six_scripts_by_both_rules(language, answer, gold, squad, mlqa) -> None:
    for expected, rules in ((squad, {}), (mlqa, {"normalize": mlqa_normalizer(language)})):
        f1 = metrics.token_f1(answer, [gold], **rules)
        exact = metrics.exact_match(answer, [gold], **rules)
        assert (f1, exact) == pytest.approx(expected)
        assert metrics.qa_score(f1, exact) == pytest.approx(sum(expected) / 2)


WORDS_OF_FEW = st.lists(st.sampled_from(["ein", "Haus", "am", "See"]), min_size=1, max_size=6)


@given(WORDS_OF_FEW, WORDS_OF_FEW)
def test_token_f1_is_the_f1_of_bags(answer: list[str], gold: list[str]) -> None:
    """Against precision and recall, counted word by word."""
    left, shared = list(gold), 0
    for word in answer:
        if word in left:
            left.remove(word)
            shared += 1
    precision, recall = shared / len(answer), shared / len(gold)
    expected = 2 * precision * recall / (precision + recall) if shared else 0
    assert metrics.token_f1(" ".join(answer), [" ".join(gold)]) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_accuracy_is_scikit_learns(rows: list[tuple[str, str]]) -> None:
    predictions, golds = [a for a, _ in rows], [b for _, b in rows]
    assert metrics.accuracy(predictions, golds) == pytest.approx(accuracy_score(golds, predictions))
    flat = accuracy_score(golds, predictions)
    assert metrics.tag_accuracy([predictions], [golds]) == pytest.approx(flat)


def test_nearest_is_by_angle_not_by_length() -> None:
    candidates = np.array([[9.0, 9.0], [0.1, 0.0], [0.0, 5.0], [0.1, 0.0]], np.float32)
    queries = np.array([[3.0, 0.1], [0.0, 0.2], [1.0, 1.0], [0.0, 0.0]], np.float32)
    assert metrics.nearest(queries, candidates).tolist() == [1, 2, 0, 0]


def test_nearest_in_blocks_is_nearest_at_once() -> None:
    rng = np.random.default_rng(0)
    candidates = rng.normal(size=(1500, 8)).astype(np.float32)
    order = rng.permutation(1500)
    assert (metrics.nearest(candidates[order] * 3, candidates) == order).all()
    with pytest.raises(ValueError, match="no candidates"):
        metrics.nearest(candidates, candidates[:0])
