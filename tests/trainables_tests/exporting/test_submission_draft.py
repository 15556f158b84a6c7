"""What is said of a submission's rows; test_evaluate.py writes whole ones."""

from pathlib import Path

import pytest

from search.cli.views import _written
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.exporting.submission import OTHER_SENTENCES, SPLIT_WORDS
from trainables.exporting.submission_draft import Draft, check_targets, languages_with_rows


def own_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n")
    return folder


def test_languages_of_udpos_whose_rows_are_not_xtremes_are_named(tmp_path: Path) -> None:
    """Those that were answered on the hub's rows, and these alone."""
    codes = ("bg", "de", "el", "zh")
    draft = Draft(
        tasks={"udpos": SHIPPED.get("udpos")},
        files={f"udpos/test-{code}.tsv": "NOUN\n" for code in codes},
    )
    draft.own_rows["udpos"] = ("zh",)
    found = draft.finish(tmp_path / "out")
    assert found.other_sentences == ("el",)
    assert found.split_words == ("de", "el")
    lines = [line for line in _written(found) if line.startswith("not as XTREME's rows")]
    assert [line.partition(" in ")[2].partition(",")[0] for line in lines] == ["el", "de el"]
    assert all("--xtreme-rows DOWNLOAD" in line for line in lines)
    other = Draft(tasks={"panx": SHIPPED.get("panx")}, files={"panx/test-de.tsv": "O\n"})
    panx = other.finish(tmp_path / "other")
    assert not [line for line in _written(panx) if "not as XTREME's" in line]


def test_the_named_languages_are_languages_of_udpos() -> None:
    assert {*SPLIT_WORDS, *OTHER_SENTENCES} <= set(SHIPPED.get("udpos").languages)


def test_languages_with_rows(tmp_path: Path) -> None:
    rows = own_files(tmp_path, "udpos/test-de.tsv", "udpos/fr/test-fr.tsv", "udpos/dev-it.tsv")
    assert languages_with_rows(SHIPPED.get("udpos"), rows) == ("de", "fr")
    assert languages_with_rows(SHIPPED.get("panx"), rows) == ()
    assert languages_with_rows(SHIPPED.get("udpos"), None) == ()


@pytest.mark.parametrize(
    ("tasks", "names", "message"),
    [
        (
            ("rel",),
            (),
            "trial 3 has the targets rel; a submission needs at least one of XTREME's nine",
        ),
        (("udpos",), ("panx/test-de.tsv",), "no test rows of udpos, such as udpos/test-de.tsv"),
        (("tatoeba",), ("tatoeba/de-en.de",), "no test rows of tatoeba, such as tatoeba/de-en.de"),
        (("xquad",), ("udpos/test-de.tsv",), "the trial has none of udpos, panx, pawsx, xnli"),
    ],
)
def test_targets_without_rows_to_answer_are_refused(
    tmp_path: Path, tasks: tuple[str, ...], names: tuple[str, ...], message: str
) -> None:
    rows = own_files(tmp_path, *names)
    with pytest.raises(Refusal) as caught:
        check_targets([SHIPPED.get(name) for name in tasks], rows, trial="trial 3")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_targets_with_rows_to_answer_is_not_refused(tmp_path: Path) -> None:
    rows = own_files(tmp_path, "udpos/test-de.tsv")
    check_targets([SHIPPED.get("rel"), SHIPPED.get("udpos")], rows, trial="trial 3")
    check_targets([SHIPPED.get("xquad")], None, trial="trial 3")
