"""The text of a study file, and of the files that it includes."""

from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import parse_text, read_tables, whole_text
from tests.study_texts import study_text

STUDY = """# ours
include = ["tasks.toml",  # shared
           "more.toml"]

""" + study_text("tickets", note="  # who")
TICKETS = """
[tasks.tickets]
kind = "classification"
languages = ["en", "de"]
labels = ["bug", "wish"]
rows = "rows/tickets"
"""
MORE = """
[[rows.qqp]]
languages = ["de"]
rows = "rows/qqp"
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "own.toml").write_text(STUDY)
    (tmp_path / "tasks.toml").write_text(TICKETS)
    (tmp_path / "more.toml").write_text(MORE)
    return tmp_path / "own.toml"


def test_included_tables_are_those_of_the_study(study: Path) -> None:
    settings = StudySettings.load(study)
    assert [task.name for task in settings.targets] == ["tickets"]
    assert "de" in settings.catalogue.get("qqp").languages
    assert settings.study.rows_folder == str(study.parent)
    one = study.with_name("one.toml")
    one.write_text(STUDY[STUDY.index("[study]") :] + TICKETS + MORE)
    assert StudySettings.load(one) == settings
    assert StudySettings.load(one).digest() == settings.digest()


def test_one_file_says_all_of_it(study: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = whole_text(str(study), rows_folder=str(study.parent))
    assert "include" not in parse_text(text, "text")
    elsewhere = tmp_path_factory.mktemp("job") / "study.toml"
    elsewhere.write_text(text)
    assert StudySettings.load(elsewhere) == StudySettings.load(study)
    alone = whole_text(str(study))
    elsewhere.write_text(alone)
    assert StudySettings.load(elsewhere).study.rows_folder == str(elsewhere.parent)
    assert whole_text("pocket") == whole_text("pocket").replace("include", "")


def test_rows_of_a_folder_that_the_file_names(study: Path) -> None:
    study.write_text(STUDY.replace("seed = 0", 'seed = 0\nrows_folder = "../data"'))
    settings = StudySettings.load(study)
    assert settings.study.rows_folder == str(study.parent.parent / "data")
    text = whole_text(str(study), rows_folder=settings.study.rows_folder)
    assert parse_text(text, "text")["study"]["rows_folder"] == settings.study.rows_folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own.toml": STUDY.replace("more.toml", "mroe.toml")}, "include: study file .*mroe.toml"),
        (
            {"own.toml": STUDY.replace("more.toml", "tasks.toml")},
            "'tasks.toml' more than once",
        ),
        (
            {"own.toml": STUDY.replace("more.toml", "pocket")},
            "'pocket'; expected a TOML file",
        ),
        (
            {"own.toml": "include = 3\n" + STUDY[STUDY.index("[study]") :]},
            "include is 3; expec",
        ),
        (
            {"more.toml": TICKETS},
            "tasks.tickets is in the file and in more.toml too",
        ),
        ({"more.toml": "[budget]\nnum_trials = 3"}, "the included more.toml has 'budget'; an incl"),
        ({"more.toml": 'include = ["a.toml"]'}, "the included more.toml has 'include'"),
        ({"more.toml": "tasks = 3"}, "tasks is not a table"),
        ({"more.toml": "tasks = "}, "include: study file .* it is not TOML"),
    ],
)
def test_what_cannot_be_included_is_refused(
    study: Path, change: dict[str, str], message: str
) -> None:
    for name, text in change.items():
        study.with_name(name).write_text(text)
    with pytest.raises(Refusal, match=message) as caught:
        read_tables(str(study))
    assert "\n" not in str(caught.value)


def test_a_layout_that_cannot_be_made_into_one_file_is_refused(study: Path) -> None:
    study.write_text(STUDY.replace("include", '"include"'))
    assert StudySettings.load(study)
    with pytest.raises(Refusal, match="cannot be made into one file"):
        whole_text(str(study))
