"""Gold labels of real rows come back through encode and decode, in every language there is."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import AnswerRules, TaskKind
from tests.by_name import mixture_of
from trainables.examples import ChoiceExample, PairExample, SpanExample, TaggingExample
from trainables.features.features import take
from trainables.formats.base import Features
from trainables.formats.choice import ChoiceFormat
from trainables.formats.classification import ClassificationFormat
from trainables.formats.retrieval import RetrievalFormat
from trainables.formats.span import SpanFormat
from trainables.formats.tagging import TaggingFormat
from trainables.rows.rows import Rows

NUM_ROWS = 40
HUB = [task for task in SHIPPED if task.dataset != "pocket"]
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")


@pytest.fixture(scope="module")
def rows(mirror: Path) -> Rows:
    return Rows(str(mirror))


@pytest.fixture(scope="module")
def pieces(rows: Rows) -> PreTrainedTokenizerFast:
    """Pieces of many languages, as XLM-R's, so that contexts are not all bytes."""
    flores = SHIPPED.get("flores").languages
    texts = [
        row.text
        for code in rows.languages(SHIPPED.get("flores"), flores, "train")
        for row in take(rows.examples(SHIPPED.get("flores"), code, "train"), 60)
    ]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=6000, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


Places = Callable[[TaskKind], Iterator[tuple]]


@pytest.fixture
def rows_of_kind(rows: Rows, is_mirrored) -> Places:
    return partial(find_places, rows, is_mirrored)


def find_places(rows: Rows, is_mirrored, kind: TaskKind) -> Iterator[tuple]:
    """(task, language, rows) of every language there is."""
    for task in HUB:
        mirrored = [code for code in task.languages if is_mirrored(task.name, code)]
        if task.kind is kind:
            for language in rows.languages(task, mirrored, "validation"):
                result = rows.examples(task, language, "validation")
                yield task, language, take(result, NUM_ROWS)


def one_hot(index: int, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[index]


@pytest.mark.parametrize("max_length", [24, 128])
def test_tags(rows_of_kind: Places, pieces, max_length: int) -> None:
    task_format, seen = TaggingFormat(), set()
    for task, language, examples in rows_of_kind(TaskKind.TAGGING):
        features = task_format.encode(examples, task, tokenizer=pieces, max_length=max_length)
        outputs = [np.maximum(row, 0).astype(np.float32) for row in each(features)]
        result = task_format.decode(outputs, features, examples, task)
        assert result == [e.tags for e in examples if isinstance(e, TaggingExample)], language
        assert task_format.score(result, examples, task, language)["accuracy"] == 1
        seen.add((task.name, language))
    assert {("udpos", "kk"), ("udpos", "zh"), ("panx", "ar"), ("panx", "ja")} <= seen
    assert len(seen) >= 40


def each(features: Features) -> Iterator[np.ndarray]:
    return (features.labels[s] for s in range(len(features)))


def test_answers_in_windows(rows_of_kind: Places, pieces) -> None:
    scores: dict[tuple[str, str], float] = {}
    num_windows = 0
    for task, language, examples in rows_of_kind(TaskKind.SPAN):
        may_abstain = task.answer_rules is AnswerRules.SQUAD_V2
        task_format = SpanFormat(overlap=120, max_answer_tokens=256, may_abstain=may_abstain)
        features = task_format.encode(examples, task, tokenizer=pieces, max_length=256)
        num_windows += len(features) - len(examples)
        outputs = []
        whole = set()  # rows with a window that holds all of the answer
        for s, (start, end, *_) in enumerate(each(features)):
            logits = np.zeros((len(features.input_ids[s]), 2), np.float32)
            logits[0] = not start
            if start:
                whole.add(features.example[s])
                logits[start, 0] = logits[end, 1] = 9
            outputs.append(logits)
        result = task_format.decode(outputs, features, examples, task)
        for row, (answer, example) in enumerate(zip(result, examples, strict=True)):
            assert isinstance(example, SpanExample)
            if may_abstain and not example.answers:
                assert answer == ""
            if row in whole:
                assert example.answers[0].text.strip() in answer, (language, example.id)
        assert len(whole) > 0.9 * sum(bool(e.answers) for e in examples)
        scores[task.name, language] = task_format.score(result, examples, task, language)[
            "exact_match"
        ]
    assert {("xquad", "zh"), ("mlqa", "ar"), ("tydiqa", "ru"), ("squad2", "en")} <= scores.keys()
    assert num_windows > 300
    # What is missing are tokens that reach over an answer's edge.
    assert min(scores.values()) > 0.5
    assert sum(scores.values()) / len(scores) > 0.9


def test_sources_in_their_own_languages(rows: Rows, pieces) -> None:
    """What the mirror has of non-English rows to train on: they encode as English ones do."""
    there = {
        name: rows.languages(SHIPPED.get(name), SHIPPED.get(name).zero_shot_languages, "train")
        for name in ("panx", "udpos", "tydiqa", "pawsx")
    }
    assert {"de", "ar", "ja", "jv"} <= set(there["panx"])
    assert there["tydiqa"] == there["pawsx"] == ()  # their train sets are not mirrored
    task_format = TaggingFormat()
    for name, languages in there.items():
        for language in languages:
            mixture = mixture_of({f"{name}@{language}": 1})
            assert str(mixture) == f"{name}@{language}"
            examples = take(rows.examples(SHIPPED.get(name), language, "train"), NUM_ROWS)
            features = task_format.encode(
                examples, SHIPPED.get(name), tokenizer=pieces, max_length=64
            )
            assert any(label >= 0 for label in features.labels.values)


def test_labels_and_choices(rows_of_kind: Places, pieces) -> None:
    pairs, choices = ClassificationFormat(), ChoiceFormat()
    for task, language, examples in rows_of_kind(TaskKind.CLASSIFICATION):
        features = pairs.encode(examples, task, tokenizer=pieces, max_length=64)
        outputs = [one_hot(int(row[0]), len(task.labels)) for row in each(features)]
        result = pairs.decode(outputs, features, examples, task)
        assert result == [e.label for e in examples if isinstance(e, PairExample)], language
    for task, _, examples in rows_of_kind(TaskKind.CHOICE):
        features = choices.encode(examples, task, tokenizer=pieces, max_length=48)
        lengths = features.input_ids.lengths
        assert lengths.max() <= 48
        first = np.searchsorted(features.example, features.example)  # its row's first sequence
        outputs = [
            np.float32([s - first[s] == row[0]])  # type: ignore[arg-type]
            for s, row in enumerate(each(features))
        ]
        result = choices.decode(outputs, features, examples, task)
        assert result == [e.label for e in examples if isinstance(e, ChoiceExample)], task.name


def test_pairs_of_sentences(rows_of_kind: Places, pieces) -> None:
    task_format = RetrievalFormat(layer=1)
    for task, language, examples in rows_of_kind(TaskKind.RETRIEVAL):
        features = task_format.encode(examples, task, tokenizer=pieces, max_length=64)
        size = len(examples)
        outputs = [np.stack([one_hot(s // 2, size)] * 2) for s in range(len(features))]
        result = task_format.decode(outputs, features, examples, task)
        assert task_format.score(result, examples, task, language)["accuracy"] == 1
