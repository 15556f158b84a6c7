from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.hub_tasks import NUM_SUPERTAGS
from trainables.rows import ccgbank
from trainables.rows.ccgbank import categories, ccg_rows
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import Rows

# A sentence of nobody's corpus, in the form of the AUTO files.
SENTENCE = (
    "(<T S[dcl] 0 2> (<T NP 0 1> (<L N NNP NNP Cats N>) ) (<T S[dcl]\\NP 1 2> "
    "(<L (S[dcl]\\NP)/NP VBP VBP chase (S[dcl]\\NP_1)/NP_2>) (<T NP 0 1> "
    "(<T N 1 2> (<L N/N -LRB- -LRB- -LRB- N_3/N_3>) (<L N NNS NNS mice N>) ) ) ) )"
)
OTHER = "(<L N/N JJ JJ Old N_1/N_1>) (<L N NNS NNS cats N>) (<L . . . . .>)"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Sections 00 to 23, each of one file."""
    for section in range(24):
        folder = tmp_path / "ccgbank" / "data" / "AUTO" / f"{section:02d}"
        folder.mkdir(parents=True)
        text = SENTENCE if section != 23 else OTHER
        lines = [f"ID=wsj_{section:02d}01.1 PARSER=GOLD NUMPARSE=1", text]
        (folder / f"wsj_{section:02d}01.auto").write_text("\n".join([*lines, ""]))
    return tmp_path / "ccgbank"


def test_a_label_is_the_rank_of_a_category_in_the_training_sections(bank: Path) -> None:
    assert categories(bank) == ("N", "(S[dcl]\\NP)/NP", "N/N")  # N twice a sentence; then by name
    assert ccg_rows(bank, "00") == [
        {
            "id": "wsj_0001.1",
            "tokens": ["Cats", "chase", "(", "mice"],
            "tags": ["supertag-1", "supertag-2", "supertag-3", "supertag-1"],
        }
    ]


def test_a_category_without_a_label_of_its_own_is_other(bank: Path) -> None:
    (row,) = ccg_rows(bank, "23")
    assert row["tags"] == ["supertag-3", "supertag-1", "other"]


def test_no_more_categories_than_labels(tmp_path: Path) -> None:
    for section in range(2, 22):
        folder = tmp_path / "data" / "AUTO" / f"{section:02d}"
        folder.mkdir(parents=True)
        leaves = [f"(<L N{section * 100 + n} A A w N>)" for n in range(30)]
        content = f"ID=wsj_{section:02d}01.1 PARSER=GOLD\n{' '.join(leaves)}\n"
        (folder / f"wsj_{section:02d}01.auto").write_text(content)
    assert len(categories(tmp_path)) == NUM_SUPERTAGS
    tags = {tag for row in ccg_rows(tmp_path, "02-21") for tag in row["tags"]}
    assert len(tags) == NUM_SUPERTAGS + 1


def test_rows_of_the_task(bank: Path) -> None:
    rows = Rows(str(bank.parent))
    assert len(rows.examples(SHIPPED.get("ccg"), "en", "train")) == 20
    assert rows.examples(SHIPPED.get("ccg"), "en", "validation")[0].id == "wsj_0001.1"
    assert rows.describe(SHIPPED.get("ccg"), "en", "test").parts == ()
    assert rows.describe(SHIPPED.get("ccg"), "en", "test").licence is None


def test_without_a_copy_a_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        Refusal, match=r"LDC2005T13.*put the folder of your copy.*data/AUTO"
    ) as refused:
        Rows(str(tmp_path)).load(SHIPPED.get("ccg"), "en", "train")
    assert not isinstance(refused.value, NoRowsError)
    assert "\n" not in str(refused.value)
    (tmp_path / "ccgbank").mkdir()
    with pytest.raises(Refusal, match=r"02.* has no \.auto files"):
        Rows(str(tmp_path)).load(SHIPPED.get("ccg"), "en", "train")


def test_what_is_no_derivation_is_refused(bank: Path) -> None:
    path = bank / "data" / "AUTO" / "00" / "wsj_0001.auto"
    for text in ("ID=wsj_0001.1 X\nThe cat sat.\n", f"{SENTENCE}\n"):
        path.write_text(text)
        with pytest.raises(Refusal, match=r"wsj_0001.auto: .* is not a derivation"):
            ccgbank.ccg_rows(bank, "00")
