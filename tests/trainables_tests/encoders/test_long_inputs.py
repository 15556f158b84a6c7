"""Encoders with 8,192 positions: long rows are trained and scored; longer ones are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from spaces.phases import Phase, Recipe
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from tests.by_name import mixture_of
from trainables.encoders.model import BaseEncoder
from trainables.examples import Answer, SpanExample
from trainables.formats.base import collate
from trainables.formats.kinds import format_of_task
from trainables.training.loop import Callbacks, Saving, train_phase
from trainables.training.workers import Workers

POSITIONS = 8192
# Family -> its `max_position_embeddings`: XLM-R counts from the padding id + 1, and so loses two.
FAMILIES = {"xlm-roberta": POSITIONS + 2, "modernbert": POSITIONS}


@pytest.fixture(scope="module")
def load_long(
    tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], BaseEncoder]:
    def load(family: str) -> BaseEncoder:
        folder: Path = tmp_path_factory.mktemp(family)
        sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 16}
        config = AutoConfig.for_model(
            family,
            vocab_size=len(tokenizer),
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=FAMILIES[family],
            pad_token_id=tokenizer.pad_token_id,
            **sizes,
        )
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return BaseEncoder.load(str(folder))

    return load


def a_row(num_words: int) -> SpanExample:
    """The answer is the last word, so that it is in the last window alone."""
    context = "cat " * num_words + "sea"
    answer = Answer(text="sea", start=len(context) - 3)
    return SpanExample(id="long", question="where", context=context, answers=(answer,))


@pytest.mark.parametrize("max_length", [POSITIONS, 512])
@pytest.mark.parametrize("family", FAMILIES)
def test_long_rows_are_trained_and_scored(
    family: str, max_length: int, load_long: Callable[[str], BaseEncoder]
) -> None:
    base, task = load_long(family), SHIPPED.get("squad")
    form, rows = format_of_task(task), [a_row(9000)]
    features = form.encode(rows, task, tokenizer=base.tokenizer, max_length=max_length)
    assert features.input_ids.lengths.max() == max_length
    model = base.model([SHIPPED.get("squad")], encoder=None, seed=0)
    before = [weight.clone() for weight in model.parameters()]
    recipe = Recipe(num_steps=1, batch_size=1, max_length=max_length)
    train_phase(
        model,
        Phase(mixture=mixture_of({"squad": 1.0}), learning_rate=1e-3, seed=0, recipe=recipe),
        {Source(SHIPPED.get("squad"), "en"): features},
        tokenizer=base.tokenizer,
        workers=Workers.alone(),
        max_device_tokens=2 * POSITIONS,
        callbacks=Callbacks(dev_score=lambda model: 0.0),
        saving=Saving(save=lambda *_: None, every_seconds=1e9),
    )
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    outputs = []
    with torch.inference_mode():
        for sequence in range(len(features)):
            batch = collate(features, [sequence], pad_id=base.tokenizer.pad_token_id)
            outputs += form.predict(model.eval().heads["squad"], model(batch), batch)
    assert all(np.isfinite(output).all() for output in outputs)
    (answer,) = form.decode(outputs, features, rows, task)
    assert 0 <= form.score([answer], rows, task, "en")["f1"] <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_more_than_the_positions_is_refused(
    family: str, load_long: Callable[[str], BaseEncoder]
) -> None:
    base = load_long(family)
    base.check_length(POSITIONS)
    with pytest.raises(Refusal, match=f"has {POSITIONS} positions; set max_length = {POSITIONS}"):
        base.check_length(POSITIONS + 1)
