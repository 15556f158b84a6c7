import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from trainables.row_files.delimited import csv_rows, tsv_rows

NAME = "de/train.csv"
CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=12)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5)
)


def written(table: list[list[str]], **dialect: object) -> str:
    names = [f"c{place}" for place in range(len(table[0]) if table else 2)]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n", **dialect).writerows([names, *table])  # type: ignore[arg-type]
    return file.getvalue()


def expected(table: list[list[str]]) -> list[list[str | None]]:
    return [[cell or None for cell in cells] for cells in table if any(cells)]


@given(TABLES)
def test_what_python_writes_is_read(table: list[list[str]]) -> None:
    rows = csv_rows(written(table), NAME, header=True)
    assert [list(row.values()) for row in rows] == expected(table)
    if not any("\t" in cell and "\n" in cell for cells in table for cell in cells):
        rows = tsv_rows(written(table, delimiter="\t"), NAME, header=True)
        assert [list(row.values()) for row in rows] == expected(table)


PLAIN = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\t"), min_size=1, max_size=12
)


@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=5))
@example([('"Ja', "1"), ('sagte sie"', "0")])
@example([('"Nein" sagte sie', "1")])
@example([('"Ja', "1"), ('Nein"', "0"), ('"', "1")])
def test_plain_tsv_keeps_its_quotes(pairs: list[tuple[str, str]]) -> None:
    text = "a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in pairs)
    rows = tsv_rows(text, NAME, header=True)
    if not any(cell.startswith('"') and cell.endswith('"') for pair in pairs for cell in pair):
        assert [tuple(row.values()) for row in rows] == pairs


def test_columns_without_a_header_have_numbers() -> None:
    assert csv_rows("a,b\nc,\n", NAME, header=False) == [
        {"1": "a", "2": "b"},
        {"1": "c", "2": None},
    ]


def test_a_semicolon_divides_where_the_first_line_has_no_comma() -> None:
    assert csv_rows("text;label\nJa, so;bug\n", NAME, header=True) == [
        {"text": "Ja, so", "label": "bug"}
    ]


def test_a_very_long_cell_is_read() -> None:
    limit = csv.field_size_limit()
    (row,) = csv_rows(f"text,label\n{'x' * 300_000},bug\n", NAME, header=True)
    assert len(row["text"]) == 300_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("text", ["", "\n\n", "text,label\n"])
def test_a_file_without_rows(text: str) -> None:
    assert csv_rows(text, NAME, header=True) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nc,d\n\ne\n", "de/train.csv, line 4 has 1 column, expected 2 as in line 1"),
        ('a,b\n"c\nd",e\nf,g,h\n', "de/train.csv, line 4 has 3 columns, expected 2 as in line 1"),
        ('a,b\n"c" d,e\n', "de/train.csv, line 2 cannot be read: .*a quote inside a quoted cell"),
        ('a,b\n"c,e\n', "de/train.csv, line 2 cannot be read"),
        ("a, a\nb,c\n", "two columns with the name 'a'; .* header = false"),
    ],
)
def test_a_broken_file_is_refused_by_its_line(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        csv_rows(text, NAME, header=True)
    with pytest.raises(Refusal, match="line 2 has 3 columns"):
        tsv_rows("a\tb\n1\t2\t3\n", NAME, header=True)
