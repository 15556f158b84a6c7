"""What rows and tokenizer say of a study: on real rows, and on rows made to be in trouble."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from search.contracts import content_of, row_warnings, token_warnings
from spaces.study import StudySettings
from trainables.data import Data, read_features
from trainables.examples import RetrievalExample, TextExample
from trainables.model import BaseEncoder
from trainables.rows import Rows


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


def test_languages_without_rows_are_named(mirror: Path) -> None:
    first, *others = row_warnings(study(["udpos"], ["de", "th", "ko"]), Rows(str(mirror)))
    assert first == "no validation rows of udpos in ko th: they take no part in selection"
    # Short sentences of the English treebank stand in more than one of its splits.
    assert [line.split(":")[0] for line in others] == [
        f"{split} rows of udpos are training rows of udpos@en too"
        for split in ("validation", "test")
    ]


def test_rows_that_are_trained_on_and_scored(
    changed_root: Callable[..., Path], mirror: Path
) -> None:
    """Three English test rows of PAWS-X that are training rows too."""
    train = mirror / "google/xtreme/PAWS-X.en/train-00000-of-00001.parquet"
    stolen = pq.read_table(train).slice(0, 3).to_pylist()

    def change(rows: list[dict[str, Any]]) -> None:
        for row, other in zip(rows[5:], stolen, strict=False):
            row.update(sentence1=other["sentence1"], sentence2=other["sentence2"])

    root = changed_root("google/xtreme", "PAWS-X.en/test", change)
    (root / "tau").symlink_to(mirror / "tau")
    told = list(row_warnings(study(["pawsx"], ["de"]), Rows(str(root))))
    before = list(row_warnings(study(["pawsx"], ["de"]), Rows(str(mirror))))
    assert told == [
        *before,
        "test rows of pawsx are training rows of pawsx@en too: 3 in en (the first is row "
        "'test-000005')",
    ]
    # Two pairs of the data set's own.
    assert [line.split(":")[0] for line in before] == [
        "validation rows of pawsx are training rows of pawsx@en too"
    ]


def test_the_embedded_benchmark_is_not_read() -> None:
    settings = study(["coh"], ["de"])
    space = {**settings.space.model_dump(mode="json"), "intermediate": ["none", "fact"]}
    made = study(["coh"], ["de"], space=space)
    assert list(row_warnings(made, Rows("/nowhere"))) == []


def test_rows_without_a_label_have_no_content() -> None:
    assert content_of(TextExample(id="1", text="a", pair=None)) is None
    assert content_of(RetrievalExample(id="1", text="a", pivot="b")) is None


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
    unknown = next(line for line in told if line.startswith("udpos, validation rows: unknown"))
    assert unknown.startswith("udpos, validation rows: unknown to the tokenizer are ")
    order = [part.rsplit(" ", 1)[-1] for part in unknown.split(", ")[1:]]
    assert order == ["ru", "de", "en"], "the worst first; English has signs that are no letters"
    cut = next(line for line in told if line.startswith("pawsx, validation rows: cut"))
    assert "cut to max_length (48 tokens) are " in cut
    assert "100% in de" in cut
    assert not [line for line in told if "pieces a word" in line]


def test_many_pieces_a_word(mirror: Path, tmp_path: Path) -> None:
    """A Cyrillic letter is two bytes, so that Russian words are far more pieces than English ones;
    German words are longer, but not twice as long."""
    data = Data(tmp_path, base_of_letters(has_bytes=True), Rows(str(mirror)))
    settings = study(["udpos"], ["de", "ru"])
    (told,) = [line for line in token_warnings(settings, data) if "pieces a word" in line]
    assert re.fullmatch(r"udpos: pieces a word, \d\.\d in en, are \d+\.\d in ru", told)
    assert not [line for line in token_warnings(settings, data) if "unknown" in line]


def test_some_rows_of_each_say_about_the_same(mirror: Path, tmp_path: Path) -> None:
    data = Data(tmp_path, base_of_letters(has_bytes=False), Rows(str(mirror)))
    settings = study(["udpos"], ["de", "ru"])
    some, whole = (list(token_warnings(settings, data, max_rows=rows)) for rows in (20, None))
    for lines in (some, whole):  # a Cyrillic letter is none of the tokenizer's
        (unknown,) = [line for line in lines if "udpos, validation rows: unknown" in line]
        assert re.search(r"unknown to the tokenizer are \d\d\.\d% in ru", unknown)
    written = [read_features(path) for path in tmp_path.glob("udpos-ru-validation-*")]
    counts = sorted(int(features.example[-1]) + 1 for features in written)
    assert counts[0] == 20 < counts[1]
