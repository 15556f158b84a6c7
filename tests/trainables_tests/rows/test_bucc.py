from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.rows.bucc import bucc_rows
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import Rows


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Three sentences a language, of which two are a pair, in all pairs of languages."""
    folder = tmp_path / "bucc2018"
    for code in ("de", "fr", "ru", "zh"):
        below = folder / f"{code}-en"
        below.mkdir(parents=True)
        for split in ("sample", "training"):
            for side in (code, "en"):
                lines = [f"{side}-00000000{n}\tSentence {n} in {side}." for n in (1, 2, 3)]
                (below / f"{code}-en.{split}.{side}").write_text("\n".join([*lines, ""]))
            gold = f"{code}-000000001\ten-000000002\n"
            (below / f"{code}-en.{split}.gold").write_text(gold)
    return folder


def test_every_sentence_of_both_corpora_is_a_row(corpora: Path) -> None:
    rows = bucc_rows(corpora, "de-en", "sample")
    assert [row["id"] for row in rows] == [
        *[f"de-00000000{n}" for n in (1, 2, 3)],
        *[f"en-00000000{n}" for n in (1, 2, 3)],
    ]
    assert [row["is_pivot"] for row in rows] == [False] * 3 + [True] * 3
    assert [row["partners"] for row in rows] == [["en-000000002"], [], [], [], ["de-000000001"], []]
    assert rows[0]["sentence"] == "Sentence 1 in de."
    assert bucc_rows(corpora / "de-en", "de-en", "sample") == rows  # files in the folder itself


@pytest.mark.parametrize("language", ["de", "fr", "ru", "zh"])
def test_rows_of_the_task(corpora: Path, language: str) -> None:
    rows = Rows(str(corpora.parent))
    for split in ("validation", "test"):
        assert len(rows.examples(SHIPPED.get("bucc"), language, split)) == 6
        assert rows.describe(SHIPPED.get("bucc"), language, split).parts == ()
    with pytest.raises(NoRowsError, match="has no train rows"):
        rows.load(SHIPPED.get("bucc"), language, "train")


def test_without_a_copy_a_line_says_what_to_do(corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no folder .*get the corpora of BUCC 2018"):
        Rows(str(tmp_path / "nowhere")).load(SHIPPED.get("bucc"), "de", "test")
    (corpora / "de-en" / "de-en.training.gold").unlink()
    with pytest.raises(NoRowsError, match=r"has no de-en\.training\.gold"):
        Rows(str(corpora.parent)).load(SHIPPED.get("bucc"), "de", "test")


def test_files_that_contradict_each_other_are_refused(corpora: Path) -> None:
    gold = corpora / "de-en" / "de-en.sample.gold"
    gold.write_text("de-000000001\ten-000000009\n")
    with pytest.raises(Refusal, match=r"gold, line 1: de-en.sample.en has no id 'en-000000009'"):
        bucc_rows(corpora, "de-en", "sample")
    gold.write_text("de-000000001 en-000000001\n")
    with pytest.raises(Refusal, match=r"line 1 is .* expected two columns and a tab"):
        bucc_rows(corpora, "de-en", "sample")


def test_two_sentences_with_one_id_are_refused(corpora: Path) -> None:
    path = corpora / "de-en" / "de-en.sample.de"
    path.write_text(path.read_text() + "de-000000002\tAnother sentence.\n")
    with pytest.raises(Refusal, match="has two sentences with the id 'de-000000002'"):
        bucc_rows(corpora, "de-en", "sample")
