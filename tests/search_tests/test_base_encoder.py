"""Which folder a study's encoder stands for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.base_encoder import TextChoice, choose_text, encoder_at_hand, find_encoder
from search.home import Home
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.pretraining.corpus import DatasetText, PocketText, TaskText, TextFiles
from trainables.pretraining.pretrain import base_folder
from trainables.pretraining.recipe import pocket_base


@pytest.mark.parametrize("encoder", ["xlm-roberta-large", "/folder/of/mine", "pocket-like"])
def test_any_other_name_stands_for_itself(
    encoder: str, settings_of: Callable[..., StudySettings], tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": encoder})
    assert find_encoder(settings, Home.of(tmp_path / "home")) == encoder
    assert not list(tmp_path.iterdir())


def test_steps_of_an_encoder_that_is_made_are_reported(
    settings_of: Callable[..., StudySettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretrain(recipe: Any, folder: Path, *, num_processes: int, on_step: Any) -> Path:
        on_step(recipe.phase.recipe.num_steps)
        return folder / "made"

    monkeypatch.setattr("trainables.pretraining.pretrain.pretrain", pretrain)
    steps: list[tuple[int, int]] = []
    folder = find_encoder(
        settings_of(study={"encoder": "pocket"}),
        Home.of(tmp_path),
        on_step=lambda done, of: steps.append((done, of)),
    )
    num_steps = pocket_base().phase.recipe.num_steps
    assert steps == [(num_steps, num_steps)]
    assert folder == str(tmp_path / "made")


def test_an_encoder_at_hand_is_neither_made_nor_fetched(
    settings_of: Callable[..., StudySettings],
    small_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    home = Home.of(tmp_path / "home")

    def at_hand(encoder: str) -> Path | None:
        return encoder_at_hand(settings_of(study={"encoder": encoder}), home)

    assert at_hand(str(small_base)) == small_base
    assert at_hand("our/encoder-that-nobody-has") is None
    assert at_hand("pocket") is None
    assert not list(tmp_path.iterdir())
    made = base_folder(pocket_base(), home.path)
    made.mkdir(parents=True)
    assert at_hand("pocket") == made


def test_which_text_is_pretrained_on(mirror: Path, tmp_path: Path) -> None:
    root = str(mirror)
    task = choose_text(TextChoice(task="flores", languages=("de",)), data_root=root, seed=1)
    assert isinstance(task, TaskText)
    assert (task.task, task.languages, task.seed) == ("flores", ("de",), 1)
    wanted = TextChoice(dataset="google/xtreme", configs=("XQuAD.de",), column="context")
    dataset = choose_text(wanted, data_root=root, seed=0)
    assert isinstance(dataset, DatasetText)
    assert dataset.configs == ("XQuAD.de",)
    files = choose_text(TextChoice(texts=("a.txt",)), data_root=None, seed=0)
    assert files == TextFiles(texts=("a.txt",), pairs=())
    assert isinstance(choose_text(TextChoice(), data_root=None, seed=0), PocketText)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (TextChoice(texts=("a.txt",), task="flores"), "name one text"),
        (TextChoice(task="mnli"), "'mnli' is not a text task"),
        (TextChoice(task="flores", languages=("xx",)), "unknown language"),
    ],
)
def test_refusals_of_a_text(mirror: Path, wanted: TextChoice, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        choose_text(wanted, data_root=str(mirror), seed=0)
