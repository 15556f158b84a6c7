from pathlib import Path

import pytest

from search.init.row_folder import look_at
from spaces.refusal import Refusal

ROW = {"text": "a", "label": "b"}


def test_languages_and_splits_by_any_of_their_names(make_rows) -> None:
    found = look_at(
        make_rows({"en/train": [ROW] * 3, "German/dev": [ROW], "swe_Latn/dev": [ROW] * 2})
    )
    assert found.folders == {"de": "German", "en": "en", "sv": "swe_Latn"}
    assert found.splits == {"train": "train", "validation": "dev"}
    assert (found.num_rows("en", "train"), found.num_rows("sv", "validation")) == (3, 2)
    assert found.num_rows("de", "train") == 0
    assert found.rows["de", "validation"] == [ROW]


def test_other_folders_and_files_do_not_matter(make_rows) -> None:
    folder = make_rows({"en/train": [ROW], "raw data/notes": [ROW]})
    (folder / "README.md").write_text("# Rows")
    (folder / "en" / "train.jsonl.bak").write_text("x")
    assert look_at(folder).languages == ("en",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no folder"),
        ({"notes": [ROW]}, "has no rows; expected LANGUAGE/SPLIT.jsonl"),
        ({"en/rows": [ROW]}, "has no rows; expected LANGUAGE/SPLIT.jsonl"),
        ({"corpus/train": [ROW]}, "'corpus' is no language; name it by"),
        ({"de/train": [ROW], "German/test": [ROW]}, "'German' and 'de' are both German"),
        ({"de/dev": [ROW], "en/val": [ROW]}, "de/dev.jsonl and en/val.jsonl are both files of"),
    ],
)
def test_a_folder_that_cannot_be_read(make_rows, tmp_path: Path, files, message: str) -> None:
    make_rows(files)
    with pytest.raises(Refusal, match=message):
        look_at(tmp_path / "rows")


@pytest.mark.parametrize(
    ("texts", "header"),
    [
        ({"en/train.csv": "text,label\nJa,1\n", "de/test.csv": "text,label\nNein,0\n"}, True),
        ({"en/train.csv": "Ja,1\n", "de/test.csv": "Nein,0\n"}, False),
        ({"en/train.tsv": "text\tlabel\nJa\t1\n"}, True),
        ({"en/train.csv": "Ja,1\n"}, False),
        ({"en/train.csv": "a long name;the name of the label\nJa;gut\n"}, True),
        ({"en/train.csv": f"{'Ja ' * 20},gut\n"}, False),
    ],
)
def test_whether_files_name_their_columns(tmp_path: Path, texts, header: bool) -> None:
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = look_at(tmp_path)
    assert found.header is header
    assert ({*found.rows["en", "train"][0]} == {"1", "2"}) is not header


def test_several_parquet_files_of_a_split(tmp_path: Path) -> None:
    from datasets import Dataset

    for part in range(2):
        path = tmp_path / "en" / f"train-0000{part}-of-00002.parquet"
        path.parent.mkdir(exist_ok=True)
        Dataset.from_list([ROW]).to_parquet(path)
    assert look_at(tmp_path).num_rows("en", "train") == 2
