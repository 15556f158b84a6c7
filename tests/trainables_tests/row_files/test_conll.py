import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from trainables.row_files.conll import conll_rows, conllu_rows

NAME = "de/train.conll"
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=6).filter(
    lambda word: not word.startswith(("#", "-DOCSTART-"))
)
SENTENCES = st.lists(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), max_size=4)

# From https://universaldependencies.org/format.html: a multiword token and an empty node.
SPANISH = """\
# sent_id = es-1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\tGender=Masc|Number=Sing\t1\tobl\t_\t_
5.1\tvamos\tir\tVERB\t_\t_\t_\t_\t0:exroot\t_
"""


@pytest.mark.parametrize("delimiter", [" ", "\t", "  "])
@given(sentences=SENTENCES)
def test_any_words_and_tags(delimiter: str, sentences: list[list[tuple[str, str]]]) -> None:
    text = "\n\n".join(
        "\n".join(f"{word}{delimiter}_{delimiter}{tag}" for word, tag in sentence)
        for sentence in sentences
    )
    rows = conll_rows(text, NAME)
    assert [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows] == sentences
    assert all(row["2"] == ["_"] * len(row["tokens"]) for row in rows)


def test_documents_and_comments_are_no_words() -> None:
    text = "-DOCSTART- -X- O O\n\n# id 17\tdomain=train\n# NN B O\nJa _ _ O\n# _ _ O\n"
    (row,) = conll_rows(text, NAME)
    assert row["tokens"] == ["#", "Ja", "#"]
    assert row["4"] == row["tags"] == ["O", "O", "O"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ja O\nnein\n", "de/train.conll, line 2 has 1 column, expected 2 as in the lines before"),
        ("Ja O\n\nzwei Worte O\n", "line 3 has 3 columns, expected 2 as in the lines before"),
        ("Ja\n", "line 1 has 1 column, expected a word and its tag"),
        ("Ja\t_\tO\nzwei Worte\tO\n", "line 2 has 2 columns, expected 3"),
    ],
)
def test_a_line_with_other_columns_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        conll_rows(text, NAME)


def test_universal_dependencies_tags_syntactic_words() -> None:
    (row,) = conllu_rows(SPANISH, NAME)
    assert row["tokens"] == row["form"] == row["2"] == ["vamos", "nos", "a", "el", "mar"]
    assert row["tags"] == ["VERB", "PRON", "ADP", "DET", "NOUN"]
    assert row["feats"][-1] == "Gender=Masc|Number=Sing"
    assert (row["id"], row["text"]) == ("es-1", "vámonos al mar")


def test_a_word_with_blanks_and_a_line_separator() -> None:
    (row,) = conllu_rows("1\t10  000\u2028km\t_\tNUM\t_\t_\t_\t_\t_\t_\n", NAME)
    assert row["tokens"] == ["10 000\u2028km"]
    assert "id" not in row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# text = Ja\n1\tJa\tja\tINTJ\n", "de/train.conll, line 2 has 4 columns, expected the 10"),
        ("1 Ja ja INTJ _ _ 0 root _ _\n", "line 1 has 1 column, expected the 10 .* tabs"),
        ("\nx\tJa\tja\tINTJ\t_\t_\t_\t_\t_\t_\n", "the sentence from line 2: .*'x' is not a valid"),
    ],
)
def test_a_broken_conllu_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        conllu_rows(text, NAME)
