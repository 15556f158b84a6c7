import ipaddress
import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForMaskedLM

from trainables.encoders.model import BaseEncoder, state_digest
from trainables.pretraining.corpus import PocketText
from trainables.pretraining.pretrain import NO_SAVING, pretrain, pretrain_into, train_base
from trainables.pretraining.recipe import BaseRecipe, pocket_base, tiny_base
from trainables.training.workers import Workers


def short(recipe: BaseRecipe, num_steps: int) -> BaseRecipe:
    """The same base, hardly trained."""
    steps = replace(recipe.phase.recipe, num_steps=num_steps, batch_size=32)
    assert isinstance(recipe.text, PocketText)
    text = replace(recipe.text, num_rows=400)
    return replace(recipe, text=text, phase=replace(recipe.phase, recipe=steps))


def test_the_key_is_of_the_content() -> None:
    recipe = tiny_base()
    assert recipe.key() == tiny_base().key()
    others = [
        pocket_base(),
        tiny_base(seed=1),
        replace(recipe, hidden_size=32),
        replace(recipe, text=PocketText(languages=("en", "de"), num_rows=20_000, seed=0)),
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
        model, _, _ = train_base(
            recipe, workers=Workers.alone(), saving=NO_SAVING, on_step=lambda step: None
        )
        return state_digest(model.encoder.state_dict())

    assert trained() == trained()


def test_the_loss_falls() -> None:
    recipe = short(tiny_base(), 60)
    _, _, progress = train_base(
        recipe, workers=Workers.alone(), saving=NO_SAVING, on_step=lambda step: None
    )
    assert progress.losses[-1] < 0.9 * progress.losses[0]
    assert progress.num_useful_tokens > 0.9 * progress.num_tokens


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They listen for each other on loopback alone, whatever a user has set for a cluster."""
    others = [name for _, name in socket.if_nameindex() if not name.startswith("lo")]
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", others[0] if others else "lo")
    seen: set[str] = set()

    def look(step: int) -> None:
        for process in (psutil.Process(), *psutil.Process().children()):
            found = process.net_connections("inet")
            seen.update(each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN)

    recipe = short(tiny_base(), 5)
    alone = BaseEncoder.load(str(pretrain(recipe, tmp_path / "one")))
    folder = pretrain(recipe, tmp_path / "two", num_processes=2, on_step=look)
    both = BaseEncoder.load(str(folder))
    assert seen
    assert all(ipaddress.ip_address(ip).is_loopback for ip in seen)
    assert alone.tokenizer_digest == both.tokenizer_digest
    for one, two in zip(alone.encoder.parameters(), both.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_a_pretraining_cut_short_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.pretraining.pretrain.SAVE_SECONDS", 0.0)
    recipe = short(tiny_base(), 30)
    undisturbed = pretrain(recipe, tmp_path / "undisturbed")

    def cut(step: int) -> None:
        if step == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, tmp_path / "cut", on_step=cut)
    steps: list[int] = []
    resumed = pretrain(recipe, tmp_path / "cut", on_step=steps.append)
    assert steps[0] == 21
    digests = [BaseEncoder.load(str(folder)).weights_digest for folder in (undisturbed, resumed)]
    assert digests[0] == digests[1]
    assert [path.name for path in resumed.parent.iterdir()] == [resumed.name]


def test_the_head_is_saved_beside_the_encoder(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    recipe = short(tiny_base(), 12)
    model, _, _ = train_base(
        recipe, workers=Workers.alone(), saving=NO_SAVING, on_step=lambda step: None
    )
    pretrain_into(folder, recipe, num_processes=1, on_step=lambda step: None)
    loaded = AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = torch.tensor([[0, 10, 11, 12, 2]])
    with torch.inference_mode():
        hidden = model.eval().encoder(input_ids=ids).last_hidden_state
        expected = model.heads["text"](hidden[0])
        torch.testing.assert_close(loaded(input_ids=ids).logits[0], expected)
