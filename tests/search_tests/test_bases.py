"""Which folder a study's encoder stands for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.bases import Wanted, choose_text, find_encoder
from search.home import Home
from spaces.refusal import Refusal
from spaces.study import StudySettings
from trainables.corpus import DatasetText, PocketText, TaskText, TextFiles


@pytest.mark.parametrize("encoder", ["xlm-roberta-large", "/folder/of/mine", "pocket-like"])
def test_any_other_name_stands_for_itself(
    encoder: str, settings_of: Callable[..., StudySettings], tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": encoder})
    assert find_encoder(settings, Home.of(tmp_path / "home")) == encoder
    assert not list(tmp_path.iterdir())


def test_which_text_is_pretrained_on(mirror: Path, tmp_path: Path) -> None:
    root = str(mirror)
    task = choose_text(Wanted(task="flores", languages=("de",)), data_root=root, seed=1)
    assert isinstance(task, TaskText)
    assert (task.task, task.languages, task.seed) == ("flores", ("de",), 1)
    wanted = Wanted(dataset="google/xtreme", configs=("XQuAD.de",), column="context")
    dataset = choose_text(wanted, data_root=root, seed=0)
    assert isinstance(dataset, DatasetText)
    assert dataset.configs == ("XQuAD.de",)
    files = choose_text(Wanted(texts=("a.txt",)), data_root=None, seed=0)
    assert files == TextFiles(texts=("a.txt",), pairs=())
    assert isinstance(choose_text(Wanted(), data_root=None, seed=0), PocketText)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(texts=("a.txt",), task="flores"), "name one text"),
        (Wanted(task="mnli"), "'mnli' is no text task"),
        (Wanted(task="flores", languages=("xx",)), "unknown language"),
    ],
)
def test_refusals_of_a_text(mirror: Path, wanted: Wanted, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        choose_text(wanted, data_root=str(mirror), seed=0)
