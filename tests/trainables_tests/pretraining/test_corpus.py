from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.pretraining.corpus import NUM_PASSES, DatasetText, PocketText, TaskText, TextFiles
from trainables.rows.rows import Rows


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
    texts.write_bytes(b"\xef\xbb\xbf" + texts.read_bytes())
    assert corpus.rows()[0].text == "One line."
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


LANGUAGES = ("en", "de", "zh", "az")


def flores(mirror: Path, **fields) -> TaskText:
    options = {"pair_share": 0.8, "seed": 1, "source": Rows(str(mirror)), **fields}
    return TaskText.of(SHIPPED.get("flores"), LANGUAGES, **options)


def test_rows_of_a_text_task_meet_their_translations(mirror: Path) -> None:
    corpus = flores(mirror)
    assert corpus.languages == ("en", "de", "zh")  # the mirror has no Azerbaijani
    texts = {
        code: {
            row.id: row.text for row in corpus.source.examples(SHIPPED.get("flores"), code, "train")
        }
        for code in corpus.languages
    }
    rows = corpus.rows()
    assert len(rows) == NUM_PASSES * 3 * 997
    assert rows == flores(mirror).rows()
    assert rows != flores(mirror, seed=2).rows()
    paired = [row for row in rows if row.pair is not None]
    assert 0.77 < len(paired) / len(rows) < 0.83
    english = 0
    for row in paired:
        language, row_id, _ = row.id.split(":")
        own = texts[language][row_id]
        others = [t[row_id] for code, t in texts.items() if code != language]
        assert own in (row.text, row.pair)
        assert row.text in others or row.pair in others
        english += texts["en"][row_id] in (row.text, row.pair)
    # All of English's own, and three quarters of those with two languages to choose from.
    assert 0.77 < english / len(paired) < 0.9
    assert len({row.id.split(":")[0] for row in rows[:50]}) == 3, "languages are mixed"


def test_without_pairs_every_text_is_a_row_once(mirror: Path) -> None:
    rows = flores(mirror, pair_share=0.0).rows()
    assert len({row.id for row in rows}) == len(rows) == 3 * 997
    assert {row.pair for row in rows} == {None}


def test_the_digest_is_of_what_decides_the_rows(mirror: Path) -> None:
    digests = {
        flores(mirror, **fields).digest() for fields in ({}, {"seed": 2}, {"pair_share": 0.5})
    }
    assert len(digests) == 3
    assert flores(mirror).digest() in digests


def test_no_language_with_text(mirror: Path) -> None:
    source = Rows(str(mirror))
    with pytest.raises(Refusal, match=r"'flores' has no rows in az, wo; name a data root"):
        TaskText.of(SHIPPED.get("flores"), ("az", "wo"), pair_share=0.0, seed=0, source=source)


def dataset(mirror: Path, **fields) -> DatasetText:
    options = {"split": "validation", "column": "target_sentence", "seed": 0, **fields}
    configs = ("tatoeba.deu", "tatoeba.jav")
    return DatasetText(dataset="google/xtreme", configs=configs, data_root=str(mirror), **options)


def test_a_column_of_any_data_set(mirror: Path) -> None:
    rows = dataset(mirror).rows()
    assert len(rows) == 1205
    assert all(row.text == row.text.strip() and row.pair is None for row in rows)
    assert {row.id.partition("-")[0] for row in rows[:50]} == {"tatoeba.deu", "tatoeba.jav"}
    assert dataset(mirror).digest() == dataset(mirror).digest()
    assert dataset(mirror).digest() != dataset(mirror, seed=1).digest()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"column": "target_sentense"}, "Did you mean 'target_sentence'"),
        ({"split": "train"}, "no split 'train'"),
        ({"split": "validation", "column": "pos_tags"}, "unknown column"),
    ],
)
def test_refusals_of_a_data_set(mirror: Path, fields, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        dataset(mirror, **fields).rows()


def test_a_column_that_is_not_text_is_refused_with_its_place(mirror: Path) -> None:
    corpus = DatasetText(
        dataset="google/xtreme",
        configs=("udpos.German",),
        split="validation",
        column="pos_tags",
        seed=0,
        data_root=str(mirror),
    )
    with pytest.raises(Refusal, match=r"row udpos\.German-000000: column 'pos_tags' is \["):
        corpus.rows()
