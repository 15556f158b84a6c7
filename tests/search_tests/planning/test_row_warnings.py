"""What rows and tokenizer say of a study: on real rows, and on rows made to be in trouble."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from search.planning.row_warnings import content_of, row_warnings, sentences_of, token_warnings
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.model import BaseEncoder
from trainables.examples import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.features.features import Data, read_features
from trainables.rows.rows import Rows


def study(targets: list[str], languages: list[str], **tables: Any) -> StudySettings:
    content: dict[str, Any] = {
        "study": {"name": "small", "encoder": "e", "seed": 0},
        "space": {
            "intermediate": ["none", "csqa"],
            "intermediate_learning_rate": [1e-3],
            "target_learning_rate": [1e-3],
            "targets": targets,
        },
        "training": {
            "intermediate": {"num_steps": 1, "batch_size": 4, "max_length": 32},
            "target": {"num_steps": 1, "batch_size": 4, "max_length": 48},
        },
        "evaluation": {"languages": languages, "max_rows": 60},
        "budget": {"num_trials": 1},
    }
    return StudySettings.parse({**content, **tables})


def pair(first: str, second: str | None) -> PairExample:
    return PairExample(id="1", text_a=first, text_b=second, label="l")


def span(question: str, context: str) -> SpanExample:
    return SpanExample(id="1", question=question, context=context, answers=())


def choice(text: str, *choices: str) -> ChoiceExample:
    return ChoiceExample(id="1", text=text, choices=choices, label=0)


def words(*said: str) -> TaggingExample:
    return TaggingExample(id="1", words=said, tags=("X",) * len(said))


def translation(said: str, pivot: str) -> RetrievalExample:
    return RetrievalExample(id="1", text=said, pivot=pivot)


def sentence(said: str) -> SentenceExample:
    return SentenceExample(id="1", text=said, is_pivot=False, partners=())


def text(said: str, other: str | None) -> TextExample:
    return TextExample(id="1", text=said, pair=other)


def test_languages_without_rows_are_named(mirror: Path) -> None:
    first, *others = row_warnings(study(["udpos"], ["de", "th", "ko"]), Rows(str(mirror)))
    assert first == (
        "udpos has no validation rows in ko th; these languages take no part in selection"
    )
    # Short sentences of the English treebank stand in more than one of its splits.
    assert [line.split(":")[0] for line in others] == [
        f"{split} rows of udpos also are training rows of udpos@en"
        for split in ("validation", "test")
    ]


def test_rows_that_are_trained_on_and_scored(
    changed_root: Callable[..., Path], mirror: Path
) -> None:
    """Four English test rows of PAWS-X that are training rows too: two as they are, one the other
    way round, one with other letter case and white space."""
    train = mirror / "google/xtreme/PAWS-X.en/train-00000-of-00001.parquet"
    stolen = pq.read_table(train).slice(0, 4).to_pylist()

    def change(rows: list[dict[str, Any]]) -> None:
        pairs = [[other["sentence1"], other["sentence2"]] for other in stolen]
        pairs[2].reverse()
        pairs[3] = [text.upper().replace(" ", "  ") for text in pairs[3]]
        for row, (first, second) in zip(rows[5:], pairs, strict=False):
            row.update(sentence1=first, sentence2=second)

    root = changed_root("google/xtreme", "PAWS-X.en/test", change)
    (root / "tau").symlink_to(mirror / "tau")
    told = list(row_warnings(study(["pawsx"], ["de"]), Rows(str(root))))
    before = list(row_warnings(study(["pawsx"], ["de"]), Rows(str(mirror))))
    assert told == [
        before[0],
        "test rows of pawsx also are training rows of pawsx@en: 4 in en (the first is row "
        "'test-000005')",
    ]
    # Pairs of the data set's own: one of the validation rows, and that of the test rows, stand the
    # other way round.
    assert [line.split(" (")[0] for line in before] == [
        "validation rows of pawsx also are training rows of pawsx@en: 3 in en",
        "test rows of pawsx also are training rows of pawsx@en: 1 in en",
    ]


def test_the_embedded_benchmark_is_not_read() -> None:
    settings = study(["coh"], ["de"])
    space = {**settings.space.model_dump(mode="json"), "intermediate": ["none", "fact"]}
    made = study(["coh"], ["de"], space=space)
    assert list(row_warnings(made, Rows("/nowhere"))) == []


def test_scored_sentences_in_the_masked_text(
    changed_root: Callable[..., Path], mirror: Path
) -> None:
    """A sentence of FLORES among those of Tatoeba, and its English beside another."""
    tables = {
        code: pq.read_table(mirror / f"facebook/flores/{code}/dev-00000-of-00001.parquet")
        for code in ("deu_Latn", "eng_Latn")
    }
    german, english = (table["sentence"][7].as_py() for table in tables.values())

    def change(rows: list[dict[str, Any]]) -> None:
        rows[3].update(source_sentence=f"{german.upper()}\n")
        rows[8].update(target_sentence=f" {english}\n")

    root = changed_root("google/xtreme", "tatoeba.deu/validation", change)
    for name in ("tau", "facebook"):
        (root / name).symlink_to(mirror / name)
    space = {
        **study(["tatoeba"], ["de"]).space.model_dump(mode="json"),
        "mlm": {"text": "flores", "languages": ["de", "en"]},
    }
    evaluation = {"languages": ["de"], "halves": False}
    made = study(["tatoeba"], ["de"], space=space, evaluation=evaluation)
    told = list(row_warnings(made, Rows(str(root), halves=False)))
    assert told == [
        f"{split} rows of tatoeba also occur in the text of flores@{code}: 1 in de (the first is "
        f"row 'validation-{number:06d}')"
        for split in ("validation", "test")
        for code, number in (("de", 3), ("en", 8))
    ]


@pytest.mark.parametrize(
    ("task", "one", "other", "is_same"),
    [
        ("pawsx", pair("A b.", "C."), pair("c.", " A  B."), True),
        ("mnli", pair("A b.", "C."), pair("c.", " A  B."), False),
        ("mnli", pair("A b.", "C."), pair("a B.", "C.\n"), True),
        ("mnli", pair("A b.", "C."), pair("A b.C.", None), False),
        ("xquad", span("Q?", "A b."), span("q?", "A  b."), True),
        ("xquad", span("Q?", "A b."), span("Q?", "A c."), False),
        ("csqa", choice("Q?", "a", "b"), choice("Q?", "b", "A"), True),
        ("csqa", choice("Q?", "a", "b"), choice("Q?", "a", "c"), False),
        ("udpos", words("Cafe\u0301", "!"), words("caf\u00e9", "!"), True),
        ("udpos", words("a", "b"), words("a b"), False),
        ("tatoeba", translation("Ja.", "Yes."), translation("ja.", "yes."), True),
        ("tatoeba", translation("Ja.", "Yes."), translation("Yes.", "Ja."), False),
        ("bucc", sentence("Ja."), sentence("JA."), True),
        ("flores", text("Ja.", None), text("Ja.", "Yes."), False),
    ],
)
def test_what_makes_two_rows_the_same(
    task: str, one: Example, other: Example, is_same: bool
) -> None:
    contents = [content_of(row, SHIPPED.get(task)) for row in (one, other)]
    assert (contents[0] == contents[1]) == is_same


@pytest.mark.parametrize(
    "row",
    [
        pair("x", "A b, c."),
        choice("A b, c.", "d"),
        span("Q?", "A b, c."),
        words("a", "b", ",", "c", "."),
        translation("x", "A b, c."),
        sentence("A b, c."),
        text("x", "A b, c."),
    ],
)
def test_a_sentence_of_a_row_is_found_in_text(row: Example) -> None:
    (there,) = sentences_of(text("a B, c.", None))
    assert there in sentences_of(row)
    assert there not in sentences_of(pair("A b, c", None))


def base_of_letters(*, has_bytes: bool) -> BaseEncoder:
    """A piece a letter of English; others are unknown, or a piece a byte."""
    letters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,-'\"()0123456789"
    all_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if has_bytes else []
    tokens = ("<s>", "<pad>", "</s>", "<unk>", *letters, *all_bytes)
    pieces = {token: i for i, token in enumerate(tokens)}
    model = models.BPE(vocab=pieces, merges=[], unk_token="<unk>", byte_fallback=has_bytes)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    config = XLMRobertaConfig(
        vocab_size=len(fast),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=130,
        pad_token_id=1,
    )
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    return BaseEncoder(encoder, fast, "weights", f"bytes: {has_bytes}")


def test_what_the_tokenizer_costs(mirror: Path, tmp_path: Path) -> None:
    data = Data(tmp_path, base_of_letters(has_bytes=False), Rows(str(mirror)))
    told = list(token_warnings(study(["udpos", "pawsx"], ["de", "ru"]), data))
    unknown = next(line for line in told if line.startswith("udpos, validation rows: tokens"))
    assert unknown.startswith("udpos, validation rows: tokens that the tokenizer does not know: ")
    order = [part.rsplit(" ", 1)[-1] for part in unknown.split(", ")[1:]]
    assert order == ["ru", "de", "en"], "the worst first; English has signs that are no letters"
    cut = next(line for line in told if line.startswith("pawsx, validation rows: rows truncated"))
    assert "rows truncated to max_length (48 tokens): " in cut
    assert "100% in de" in cut
    assert not [line for line in told if "pieces per word" in line]


def test_many_pieces_a_word(mirror: Path, tmp_path: Path) -> None:
    """A Cyrillic letter is two bytes, so that Russian words are far more pieces than English ones;
    German words are longer, but not twice as long."""
    data = Data(tmp_path, base_of_letters(has_bytes=True), Rows(str(mirror)))
    settings = study(["udpos"], ["de", "ru"])
    (told,) = [line for line in token_warnings(settings, data) if "pieces per word" in line]
    assert re.fullmatch(r"udpos: pieces per word \(\d\.\d in en\): \d+\.\d in ru", told)
    assert not [line for line in token_warnings(settings, data) if "does not know" in line]


def test_some_rows_of_each_say_about_the_same(mirror: Path, tmp_path: Path) -> None:
    data = Data(tmp_path, base_of_letters(has_bytes=False), Rows(str(mirror)))
    settings = study(["udpos"], ["de", "ru"])
    some, whole = (list(token_warnings(settings, data, max_rows=rows)) for rows in (20, None))
    for lines in (some, whole):  # a Cyrillic letter is none of the tokenizer's
        (unknown,) = [line for line in lines if "udpos, validation rows: tokens" in line]
        assert re.search(r"tokenizer does not know: \d\d\.\d% in ru", unknown)
    written = [read_features(path) for path in tmp_path.glob("udpos-ru-validation-*")]
    counts = sorted(int(features.example[-1]) + 1 for features in written)
    assert counts[0] == 20 < counts[1]
