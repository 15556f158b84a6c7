import json
import os
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset

from spaces.refusal import Refusal
from trainables.rows.folders import find_own_folder, read_own_rows
from trainables.rows.hub import NoRowsError

ROWS = [{"sentence1": "Ein\u2028Satz", "label": "bug"}, {"sentence1": "Zwei", "label": "wish"}]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_of_jsonl(tmp_path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    write(tmp_path / "de" / "train.jsonl", "\n".join([*lines, "", ""]))
    assert read_own_rows(tmp_path, "de", "train") == ROWS


def test_rows_of_parquet_with_labels_by_the_files_own_names(tmp_path: Path) -> None:
    rows = [{"sentence1": "Ein Satz", "label": 1}, {"sentence1": "Zwei", "label": 0}]
    made = Dataset.from_list(rows).cast_column("label", ClassLabel(names=["wish", "bug"]))
    made.to_parquet(tmp_path / "de" / "train.parquet")
    made.to_parquet(tmp_path / "sw" / "train-00000-of-00002.parquet")
    made.to_parquet(tmp_path / "sw" / "train-00001-of-00002.parquet")
    assert [row["label"] for row in read_own_rows(tmp_path, "de", "train")] == ["bug", "wish"]
    assert len(read_own_rows(tmp_path, "sw", "train")) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": ', r"train.jsonl, line 2 is not JSON"),
        ('{"a": 1}\n[1]', r"train.jsonl, line 2 is .\[1\].; expected a JSON object"),
    ],
)
def test_lines_that_are_no_rows_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "de" / "train.jsonl", text)
    with pytest.raises(Refusal, match=message) as refused:
        read_own_rows(tmp_path, "de", "train")
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match="cannot be read as UTF-8"):
        read_own_rows(tmp_path, None, "train")
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(Refusal, match="cannot be read as Parquet"):
        read_own_rows(tmp_path, None, "test")
    (tmp_path / "test.jsonl").write_text("{}")
    with pytest.raises(Refusal, match=r"test.jsonl and test.parquet both exist"):
        read_own_rows(tmp_path, None, "test")


def test_a_split_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(NoRowsError, match=r"has no train.jsonl, .parquet, .csv, .*or .conllu$"):
        read_own_rows(tmp_path, "de", "train")
    write(tmp_path / "de" / "dev.csv", "text\n")
    with pytest.raises(NoRowsError, match=r"or .conllu; it holds dev.csv$"):
        read_own_rows(tmp_path, "de", "train")


@pytest.mark.parametrize(
    ("suffix", "text", "row"),
    [
        ("csv", "sentence1,label\nEin Satz,bug\n", {"sentence1": "Ein Satz", "label": "bug"}),
        ("tsv", "sentence1\tlabel\nEin Satz\tbug\n", {"sentence1": "Ein Satz", "label": "bug"}),
        ("conll", "Ein DET\nSatz NOUN\n", {"tokens": ["Ein", "Satz"], "tags": ["DET", "NOUN"]}),
        ("conllu", "1\tJa\tja\tINTJ" + 6 * "\t_", {"tokens": ["Ja"], "tags": ["INTJ"]}),
    ],
)
def test_rows_of_other_files(tmp_path: Path, suffix: str, text: str, row: dict) -> None:
    write(tmp_path / "de" / f"train.{suffix}", text)
    (read,) = read_own_rows(tmp_path, "de", "train")
    assert {column: read[column] for column in row} == row
    write(tmp_path / "de" / "train.parquet", "")
    with pytest.raises(Refusal, match="both exist; remove one of them"):
        read_own_rows(tmp_path, "de", "train")


def test_files_without_a_header(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "Ein Satz,bug\n")
    assert read_own_rows(tmp_path, None, "train", header=False) == [{"1": "Ein Satz", "2": "bug"}]
    assert read_own_rows(tmp_path, None, "train") == []


def test_where_a_folder_is_looked_for(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "root" / "rows").mkdir(parents=True)
    root = str(tmp_path / "root")
    assert find_own_folder("rows", root, hint="") == tmp_path / "root" / "rows"
    assert find_own_folder(f"{root}/rows", "elsewhere", hint="") == tmp_path / "root" / "rows"
    monkeypatch.chdir(root)
    assert find_own_folder("rows", None, hint="").resolve() == tmp_path / "root" / "rows"
    with pytest.raises(Refusal, match=r"no folder '.*more': put it there"):
        find_own_folder("more", root, hint="put it there")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, end: str) -> None:
    text = "\ufeff" + end.join(json.dumps(row) for row in ROWS)
    write(tmp_path / "de" / "train.jsonl", text + end + text)  # two files, joined
    assert read_own_rows(tmp_path, "de", "train") == [*ROWS, *ROWS]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, "is not JSON that can be read: its brackets are nested too deeply"),
        ('{"a": ' * 100_000, "is not JSON that can be read: its brackets are nested too deeply"),
        ("9" * 5_000, "a number has thousands of digits"),
        (json.dumps("x" * 1_000_000), "expected a JSON object"),
    ],
)
def test_a_hostile_line_is_refused_in_one_short_line(
    tmp_path: Path, line: str, message: str
) -> None:
    write(tmp_path / "train.jsonl", f'{{"a": 1}}\n{line}')
    with pytest.raises(Refusal, match=message) as refused:
        read_own_rows(tmp_path, None, "train")
    assert "train.jsonl, line 2 is " in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_pipe_among_rows_is_refused(tmp_path: Path) -> None:
    """It would give its rows once, and whoever reads them again would wait for ever."""
    os.mkfifo(tmp_path / "train.jsonl")
    with pytest.raises(Refusal, match=r"train.jsonl is not a regular file"):
        read_own_rows(tmp_path, None, "train")
