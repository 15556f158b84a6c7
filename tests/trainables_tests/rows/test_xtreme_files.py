"""XTREME's own files, in the forms that its utils_preprocess.py writes."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Layout, Origin, Splits
from tests.by_name import own_rows
from trainables.examples import PairExample, RetrievalExample, TaggingExample
from trainables.rows.hub import NoRowsError
from trainables.rows.origin_rows import read_origin
from trainables.rows.rows import Rows
from trainables.rows.xtreme_files import BY_PLACE, find_test_rows, xtreme_rows

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=5)
SENTENCES = st.lists(st.lists(WORD, min_size=1, max_size=4), min_size=1, max_size=4)


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="")
    return path


def read_tag(text: str) -> list[list[str]]:
    """As XTREME's evaluate.py reads a file of labels."""
    labels, example = [], []
    for line in text.split("\n")[: -1 if text.endswith("\n") else None]:
        if line.strip():
            example.append(line.strip())
        else:
            labels.append(example)
            example = []
    return [*labels, example] if example else labels


@pytest.mark.parametrize("below", ["udpos", "udpos/de"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_tagged_words_with_and_without_tags(tmp_path: Path, below: str, end: str) -> None:
    write(tmp_path / below / "dev-de.tsv", f"Im\tADP\nJahr\tNOUN\n\n2\tNUM{end}")
    rows = xtreme_rows(tmp_path / "udpos", "udpos", "de", "dev")
    assert [row["tokens"] for row in rows] == [["Im", "Jahr"], ["2"]]
    assert [row["pos_tags"] for row in rows] == [["ADP", "NOUN"], ["NUM"]]
    write(tmp_path / below / "test-de.tsv", f"Im\nJahr\n\n2{end}")
    hidden = xtreme_rows(tmp_path / "udpos", "udpos", "de", "test")
    assert [row["tokens"] for row in hidden] == [["Im", "Jahr"], ["2"]]
    assert [row["pos_tags"] for row in hidden] == [None, None]


@given(SENTENCES, st.sampled_from(["", "\n", "\n\n"]), st.booleans())
def test_sentences_are_those_that_xtremes_scorer_counts(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[str]], end: str, doubled: bool
) -> None:
    """Also where two empty lines stand together: a sentence without words."""
    text = ("\n\n\n" if doubled else "\n\n").join("\n".join(words) for words in sentences) + end
    folder = tmp_path_factory.mktemp("x")
    write(folder / "test-de.tsv", text)
    rows = xtreme_rows(folder, "panx", "de", "test")
    assert [row.get("tokens", []) for row in rows] == read_tag(text)


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=4))
def test_pairs_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    """XTREME writes them by `csv.writer`: quotes, tabs and lines within a sentence are kept."""
    pairs = [tuple(text.replace("\0", "").replace("\r", "") for text in pair) for pair in pairs]
    folder = tmp_path_factory.mktemp("x")
    with (folder / "test-de.tsv").open("w", encoding="utf-8", errors="ignore") as file:
        csv.writer(file, delimiter="\t").writerows(pairs)
    rows = xtreme_rows(folder, "pawsx", "de", "test")
    clean = [tuple(text.encode(errors="ignore").decode() for text in pair) for pair in pairs]
    assert [(row["sentence1"], row["sentence2"], row["label"]) for row in rows] == [
        (*pair, None) for pair in clean
    ]


def test_pairs_with_labels(tmp_path: Path) -> None:
    write(tmp_path / "dev-de.tsv", 'Er sagte ""ja""\tNein\tentailment\r\n')
    (row,) = xtreme_rows(tmp_path, "xnli", "de", "dev")
    assert (row["premise"], row["label"]) == ('Er sagte ""ja""', "entailment")


@pytest.mark.parametrize(
    ("reader", "name", "content", "message"),
    [
        ("udpos", "test-de.tsv", "a\tNOUN\nb\n", "line 2: some words of its sentence have a tag"),
        ("udpos", "test-de.tsv", "a\nb\tNOUN\n", "line 2: some words of its sentence have a tag"),
        ("pawsx", "test-de.tsv", "a\n", "row 1 has 1 columns, expected two sentences"),
        ("xnli", "test-de.tsv", "a\tb\tc\td\n", "row 1 has 4 columns, expected two sentences"),
        ("xquad", "test-de.tsv", "{}", "rows of 'xquad' are not read from XTREME's own files"),
        ("panx", "dev-de.tsv", "a\n", "has no test-de.tsv; expected a folder that XTREME's"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, reader: str, name: str, content: str, message: str
) -> None:
    write(tmp_path / name, content)
    with pytest.raises(Refusal, match=message) as caught:
        xtreme_rows(tmp_path, reader, "de", "test")
    assert "\n" not in str(caught.value)


def test_translations_need_as_many_lines(tmp_path: Path) -> None:
    write(tmp_path / "de-en.de", "eins\nzwei\n")
    write(tmp_path / "de-en.en", "one\n")
    with pytest.raises(Refusal, match=r"has 2 lines and de-en.en 1, expected as many"):
        xtreme_rows(tmp_path, "tatoeba", "de", "test")
    with pytest.raises(NoRowsError):
        xtreme_rows(tmp_path, "tatoeba", "de", "dev")


def test_test_rows_take_the_place_of_the_hubs_with_stand_ins_for_labels(tmp_path: Path) -> None:
    write(tmp_path / "udpos" / "test-yo.tsv", "Ó\nwà\n\n\nBẹ́ẹ̀\n")
    write(tmp_path / "pawsx" / "test-de.tsv", "eins\tzwei\r\nNS\tdrei\r\n")
    write(tmp_path / "tatoeba" / "de-en.de", "zwei\neins\n")
    write(tmp_path / "tatoeba" / "de-en.en", "one\ntwo\n")
    rows = Rows(str(tmp_path / "none"), halves=False, xtreme=str(tmp_path))
    tagged = rows.load(SHIPPED.get("udpos"), "yo", "test")
    assert tagged.examples == (
        TaggingExample(id="test-000000", words=("Ó", "wà"), tags=("ADJ", "ADJ")),
        TaggingExample(id="test-000002", words=("Bẹ́ẹ̀",), tags=("ADJ",)),
    )
    assert tagged.dropped == (1,)
    pairs = rows.load(SHIPPED.get("pawsx"), "de", "test")
    (pair,) = pairs.examples
    assert isinstance(pair, PairExample)
    assert (pair.text_a, pair.label, pairs.dropped) == ("eins", "different", (1,))
    found = rows.examples(SHIPPED.get("tatoeba"), "de", "test")
    assert [(r.text, r.pivot) for r in found if isinstance(r, RetrievalExample)] == [
        ("zwei", "one"),
        ("eins", "two"),
    ]
    assert rows.languages(SHIPPED.get("udpos"), ["yo"], "test") == ("yo",)


def test_only_files_without_ids_are_asked_for(tmp_path: Path) -> None:
    assert set(BY_PLACE) == {"udpos", "panx", "pawsx", "xnli", "tatoeba"}
    write(tmp_path / "xquad" / "test-de.tsv", "{}")
    assert find_test_rows(SHIPPED.get("xquad"), "de", str(tmp_path)) is None
    assert find_test_rows(SHIPPED.get("udpos"), "de", str(tmp_path)) is None


def test_an_origin_of_labelled_rows(tmp_path: Path) -> None:
    write(tmp_path / "udpos" / "dev-de.tsv", "Im\tADP\n")
    splits = Splits("train", "dev", None)
    origin = Origin(
        dataset="udpos",
        languages=("de",),
        reader="udpos",
        layout=Layout.XTREME,
        config="{code}",
        splits=splits,
    )
    (name, row) = read_origin(origin, "de", ["dev"], str(tmp_path)).rows[0]
    assert (name, row["tokens"], row["pos_tags"]) == ("dev-000000", ["Im"], ["ADP"])
    with pytest.raises(Refusal, match=r"there is no folder .*: expected a folder that XTREME's"):
        read_origin(origin, "de", ["dev"], str(tmp_path / "none"))


def test_an_entry_of_own_rows_reads_train_and_dev(tmp_path: Path) -> None:
    write(tmp_path / "udpos" / "dev-el.tsv", "Το\tDET\n")
    entry = SHIPPED.get("udpos").with_rows(own_rows(str(tmp_path / "udpos"), "el", layout="xtreme"))
    assert entry.hub_split("el", "validation") == "dev"
    assert entry.hub_split("el", "test") is None
    assert entry.hub_split("de", "test") == "test"
    raw = read_origin(entry.origin_of("el"), "el", ["dev"], None)
    assert raw.rows[0][1]["pos_tags"] == ["DET"]
