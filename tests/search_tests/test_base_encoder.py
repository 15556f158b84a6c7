"""Which folder a study's encoder stands for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.base_encoder import (
    TextChoice,
    check_same,
    choose_text,
    encoder_at_hand,
    find_encoder,
    given_encoder,
)
from search.home import Home
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder
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


@pytest.mark.parametrize("encoder", ["pocket", "our/encoder-that-nobody-has"])
def test_a_given_folder_stands_in_for_any_name(
    encoder: str, settings_of: Callable[..., StudySettings], small_base: Path, tmp_path: Path
) -> None:
    """The bundle's is read without a word; what is given by name comes before it."""
    home, root = Home.of(tmp_path / "home"), tmp_path / "root"
    settings = settings_of(study={"encoder": encoder}).with_data_root(root)
    assert given_encoder(settings) is None
    bundled = shutil.copytree(small_base, root / "encoders" / encoder)
    assert find_encoder(settings, home) == str(bundled)
    assert encoder_at_hand(settings, home) == bundled
    given = settings.with_encoder(small_base)
    assert find_encoder(given, home) == str(small_base)
    assert encoder_at_hand(given, home) == small_base
    with pytest.raises(Refusal, match="is not a folder here"):
        find_encoder(settings.with_encoder(tmp_path / "none"), home)
    assert not home.path.exists()


def test_another_encoder_is_refused_by_its_digest(small_base: Path) -> None:
    base = BaseEncoder.load(str(small_base))
    check_same(base, {}, folder="DIR", of="study 'a'")
    check_same(base, base.digests, folder="DIR", of="study 'a'")
    for part, digest in base.digests.items():
        with pytest.raises(Refusal) as refused:
            check_same(base, {**base.digests, part: "0" * 64}, folder="DIR", of="study 'a'")
        assert str(refused.value) == (
            f"encoder 'DIR' is not that of study 'a': the digest of its {part} is {digest[:12]}, "
            "expected 000000000000; name the folder of that encoder with --encoder DIR"
        )


def test_which_text_is_pretrained_on(mirror: Path, tmp_path: Path) -> None:
    root = str(mirror)
    task = choose_text(TextChoice(task="flores", languages=("de",)), data_root=root, seed=1)
    assert isinstance(task, TaskText)
    assert (task.task.name, task.languages, task.seed) == ("flores", ("de",), 1)
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
