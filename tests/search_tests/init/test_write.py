import tomllib
from pathlib import Path

import pytest

from search.init.write import init_study
from search.planning.plan import plan_study
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.tasks.task import TaskKind
from trainables.rows.rows import Rows

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


WORDS = ["the", "old", "cat", "sat"]
KINDS: dict[TaskKind, list[dict[str, object]]] = {
    TaskKind.CLASSIFICATION: ROWS,
    TaskKind.CHOICE: [
        {"text": f"Which {n}?", "choices": WORDS, "label": "ABCD"[n % 4]} for n in range(12)
    ],
    TaskKind.SPAN: [
        {"question": f"Who {n}?", "context": "The old cat sat.", "answer": "cat"} for n in range(12)
    ],
    TaskKind.TAGGING: [{"words": WORDS, "upos": ["DET", "ADJ", "NOUN", "VERB"]}] * 12,
    TaskKind.RETRIEVAL: [{"sentence": f"a {n}", "translation": f"b {n}"} for n in range(12)],
    TaskKind.MLM: [{"text": f"Row {n}"} for n in range(12)],
}


@pytest.mark.parametrize("encoder", ["pocket", None])
@pytest.mark.parametrize("kind", KINDS)
def test_the_study_of_every_kind_can_be_planned_and_its_rows_read(
    make_rows, tmp_path: Path, kind: TaskKind, encoder: str | None
) -> None:
    rows = make_rows(dict.fromkeys(("en/train", "en/test", "de/test"), KINDS[kind]))
    made = init_study(tmp_path / "mine", rows, encoder=encoder)
    assert made.draft.kind is kind
    settings = StudySettings.load(made.path)
    planned = plan_study(settings)
    assert planned.errors == ()
    source, task = Rows.of(settings), settings.catalogue.get("mine")
    if task.trains:
        assert len(source.load(task, "en", "train").examples) == 12
    else:  # the only evaluation split is cut
        halves = [source.load(task, "de", split).examples for split in ("validation", "test")]
        assert sum(map(len, halves)) == 12
