from pathlib import Path

import pytest

from spaces.refusal import Refusal
from trainables.corpus import PocketText, TextFiles


def test_the_pocket_text_is_a_function_of_its_fields() -> None:
    corpus = PocketText(languages=("en", "de"), num_rows=50, seed=1)
    assert corpus.rows() == corpus.rows()
    assert len(corpus.rows()) == 50
    assert corpus.digest() != PocketText(languages=("en", "de"), num_rows=50, seed=2).digest()


def test_lines_and_pairs_of_files(tmp_path: Path) -> None:
    texts, pairs = tmp_path / "texts.txt", tmp_path / "pairs.tsv"
    texts.write_text("One line.\n\n  Ein\u2028Satz. \n", encoding="utf-8")
    pairs.write_text("cat\tKatze\n", encoding="utf-8")
    corpus = TextFiles(texts=(str(texts),), pairs=(str(pairs),))
    assert [(row.id, row.text, row.pair) for row in corpus.rows()] == [
        ("texts.txt:1", "One line.", None),
        ("texts.txt:3", "Ein\u2028Satz.", None),
        ("pairs.tsv:1", "cat", "Katze"),
    ]
    before = corpus.digest()
    pairs.write_text("cat\tKater\n", encoding="utf-8")
    assert corpus.digest() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\n", r"line 1: expected a text, a tab"),
        (b"a\tb\tc\n", r"got 3 columns"),
        (b"cat\t\n", r"line 1"),
        (b"\xff\xfe", r"cannot be read as UTF-8"),
        (b"\n\n", r"no text in"),
    ],
)
def test_refusals_name_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=message):
        TextFiles(texts=(), pairs=(str(path),)).rows()


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(Refusal, match="cannot be read"):
        TextFiles(texts=("nowhere.txt",), pairs=()).rows()
