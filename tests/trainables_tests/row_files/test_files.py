import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset

from spaces.refusal import Refusal
from trainables.row_files.files import SUFFIXES, read_file, read_text

TEXTS = {
    ".jsonl": json.dumps({"text": "Ja"}),
    ".csv": "text,label\nJa,1",
    ".tsv": "text\tlabel\nJa\t1",
    ".conll": "Ja INTJ",
    ".conllu": "# text = Ja\n1\tJa\tja\tINTJ" + 6 * "\t_",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_end_of_the_name_says_how_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"any{suffix}"
    if suffix == ".parquet":
        Dataset.from_list([{"text": "Ja"}]).to_parquet(path)
    else:
        path.write_text(f"\ufeff{TEXTS[suffix]}", encoding="utf-8")
    (row,) = read_file(path)
    assert row.get("text", row.get("tokens")) in ("Ja", ["Ja"])


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match="cannot be read as UTF-8"):
        read_text(tmp_path / "a.csv")


def test_a_value_that_python_cannot_hold_says_why(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([10_000_000], pa.date32())})
    pq.write_table(table, tmp_path / "train.parquet")
    (row,) = read_file(tmp_path / "train.parquet")
    assert repr(row["text"]).startswith("unreadable (date32[day]: ")


def test_labels_by_name_beside_columns_of_other_types(tmp_path: Path) -> None:
    made = Dataset.from_list([{"sentence1": "Ein Satz", "label": 1}])
    made = made.cast_column("label", ClassLabel(names=["wish", "bug"]))
    made.to_parquet(tmp_path / "plain.parquet")
    table = pq.read_table(tmp_path / "plain.parquet")
    counts = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    schema = table.schema.append(pa.field("counts", counts.type))
    pq.write_table(pa.table([*table.columns, counts], schema=schema), tmp_path / "train.parquet")
    (row,) = read_file(tmp_path / "train.parquet")
    assert row == {"sentence1": "Ein Satz", "label": "bug", "counts": [("a", 1)]}
