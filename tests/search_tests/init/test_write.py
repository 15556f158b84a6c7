import tomllib
from pathlib import Path

import pytest

from search.init.write import init_study
from spaces.refusal import Refusal
from spaces.task import TaskKind

ROWS = [{"text": f"Row {n}", "label": ("bug", "wish")[n % 2]} for n in range(12)]
FILES = {"en/train": ROWS, "de/test": ROWS}


def test_a_study_beside_its_rows(make_rows, tmp_path: Path) -> None:
    rows = make_rows(FILES)
    made = init_study(tmp_path / "studies" / "first", rows, encoder="pocket")
    assert made.path == tmp_path / "studies" / "first" / "study.toml"
    tables = tomllib.loads(made.path.read_text())
    assert tables["study"]["name"] == made.task == "first"
    assert tables["tasks"]["first"]["rows"] == "../../rows"
    assert made.draft.kind is TaskKind.CLASSIFICATION


def test_an_encoder_s_folder_is_absolute(make_rows, tmp_path: Path, monkeypatch) -> None:
    rows = make_rows(FILES)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    made = init_study(Path("new"), rows, encoder="mine", name="other")
    tables = tomllib.loads(made.path.read_text())
    assert tables["study"]["encoder"] == str(tmp_path / "mine")
    assert tables["study"]["name"] == "other"
    assert made.path == Path("new/study.toml")


def test_nothing_is_overwritten_or_left_behind(make_rows, tmp_path: Path) -> None:
    rows = make_rows(FILES)
    (tmp_path / "study.toml").write_text("mine")
    with pytest.raises(Refusal, match=r"study.toml exists; remove it, or name another folder"):
        init_study(tmp_path, rows)
    assert (tmp_path / "study.toml").read_text() == "mine"
    with pytest.raises(Refusal, match="which columns a span task reads could not be guessed"):
        init_study(tmp_path / "new", rows, kind=TaskKind.SPAN)
    assert not (tmp_path / "new").exists()
