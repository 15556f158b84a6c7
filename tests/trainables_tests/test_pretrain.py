from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.model import BaseEncoder, state_digest
from trainables.pretrain import (
    BaseRecipe,
    pocket_base,
    pretrain,
    tiny_base,
    train_base,
)
from trainables.workers import Workers


def short(recipe: BaseRecipe, num_steps: int) -> BaseRecipe:
    """The same base, hardly trained."""
    steps = replace(recipe.phase.recipe, num_steps=num_steps, batch_size=32)
    return replace(recipe, num_rows=400, phase=replace(recipe.phase, recipe=steps))


def test_the_key_is_of_the_content() -> None:
    recipe = tiny_base()
    assert recipe.key() == tiny_base().key()
    others = [
        pocket_base(),
        tiny_base(seed=1),
        replace(recipe, hidden_size=32),
        replace(recipe, languages=("en", "de")),
        replace(recipe, phase=replace(recipe.phase, learning_rate=1e-3)),
    ]
    assert len({recipe.key(), *(other.key() for other in others)}) == 1 + len(others)


def test_a_base_is_trained_once_and_loads(tmp_path: Path) -> None:
    steps: list[int] = []
    recipe = short(tiny_base(), 12)
    folder = pretrain(recipe, tmp_path, on_step=steps.append)
    assert steps == list(range(1, 13))
    assert pretrain(recipe, tmp_path, on_step=steps.append) == folder
    assert len(steps) == 12
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    base = BaseEncoder.load(str(folder))
    base.check_length(128)
    assert base.num_layers == recipe.num_layers
    assert base.tokenizer("Monday", "Montag")["input_ids"].count(2) == 3


def test_the_same_recipe_gives_the_same_weights() -> None:
    def trained() -> str:
        recipe = short(tiny_base(), 5)
        encoder, _, _ = train_base(recipe, workers=Workers.alone(), on_step=lambda step: None)
        return state_digest(encoder.state_dict())

    assert trained() == trained()


def test_the_loss_falls() -> None:
    recipe = short(tiny_base(), 60)
    _, _, progress = train_base(recipe, workers=Workers.alone(), on_step=lambda step: None)
    assert progress.losses[-1] < 0.9 * progress.losses[0]
    assert progress.num_useful_tokens > 0.9 * progress.num_tokens


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    recipe = short(tiny_base(), 5)
    alone = BaseEncoder.load(str(pretrain(recipe, tmp_path / "one")))
    both = BaseEncoder.load(str(pretrain(recipe, tmp_path / "two", num_processes=2)))
    assert alone.tokenizer_digest == both.tokenizer_digest
    for one, two in zip(alone.encoder.parameters(), both.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
