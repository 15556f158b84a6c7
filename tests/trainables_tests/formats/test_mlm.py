import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import XLMRobertaForMaskedLM

from spaces.tasks.task import Task, TaskKind
from trainables.examples import TextExample
from trainables.formats.base import IGNORED, Batch, collate
from trainables.formats.mlm import MlmFormat, mask_tokens

TASK = Task(
    name="text",
    kind=TaskKind.MLM,
    dataset="none",
    languages=("en",),
    metric="accuracy",
    chance=0.0,
    num_train_rows=1,
)
ROWS = [
    TextExample(id="1", text="The old cat sat on the warm mat", pair="قط على"),
    TextExample(id="2", text="東京", pair=None),
]
FORMAT = MlmFormat()
MASK, VOCABULARY, SPECIALS = 4, 1000, (0, 1, 2, 3, 4)


def masked(batch: Batch, *, seed: int = 0, share: float = 0.15) -> Batch:
    return mask_tokens(
        batch,
        generator=torch.Generator().manual_seed(seed),
        mask_id=MASK,
        vocab_size=VOCABULARY,
        special_ids=SPECIALS,
        share=share,
    )


def large_batch() -> Batch:
    """Ids from 5 on, in rows of 2 to 400 tokens with `<s>` and `</s>` around."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(4, 402, (64,), generator=generator)
    ids = torch.randint(5, VOCABULARY, (64, int(lengths.max())), generator=generator)
    position = torch.arange(ids.shape[1])
    mask = (position < lengths[:, None]).long()
    ids[:, 0] = 0
    ids[position == lengths[:, None] - 1] = 2
    ids[mask == 0] = 1
    return Batch(ids, mask, torch.zeros_like(ids), torch.zeros(64, 0, dtype=torch.long))


def test_tokens_are_masked_as_bert_masks_them() -> None:
    batch = large_batch()
    result = masked(batch)
    chosen = result.labels != IGNORED
    maskable = (batch.attention_mask == 1) & (batch.input_ids > 4)
    assert not (chosen & ~maskable).any()
    assert chosen.sum() / maskable.sum() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(result.labels[chosen], batch.input_ids[chosen])
    assert torch.equal(result.input_ids[~chosen], batch.input_ids[~chosen])
    now, before = result.input_ids[chosen], batch.input_ids[chosen]
    assert (now == MASK).float().mean() == pytest.approx(0.8, abs=0.03)
    assert (now == before).float().mean() == pytest.approx(0.1, abs=0.03)
    assert chosen.any(dim=1).all()  # even in rows of two tokens


def test_masking_is_drawn_from_the_generator_alone() -> None:
    batch = large_batch()
    before = batch.input_ids.clone()
    torch.manual_seed(1)
    first = masked(batch)
    torch.manual_seed(2)
    second = masked(batch)
    assert torch.equal(first.input_ids, second.input_ids)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.labels, masked(batch, seed=1).labels)
    assert torch.equal(batch.input_ids, before)


def test_a_row_of_special_tokens_only_has_no_mask() -> None:
    ids = torch.tensor([[0, 3, 2], [0, 7, 2]])
    batch = Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), ids[:, :0])
    assert (masked(batch).labels != IGNORED).tolist() == [[False] * 3, [False, True, False]]
    assert masked(batch, share=1).labels.tolist() == [[IGNORED] * 3, [IGNORED, 7, IGNORED]]


def test_pairs_are_two_segments_and_have_no_labels(tokenizer) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=64)
    assert features.input_ids[0].tolist() == tokenizer(ROWS[0].text, ROWS[0].pair)["input_ids"]
    assert features.input_ids[1].tolist() == tokenizer(ROWS[1].text)["input_ids"]
    assert features.labels.lengths.tolist() == [0, 0]
    batch = collate(features, [0, 1], pad_id=1)
    assert batch.labels.shape == (2, 0)
    with pytest.raises(AssertionError, match="mask_tokens before"):
        FORMAT.loss(torch.nn.Identity(), torch.zeros(1), batch)


def test_the_head_is_xlm_rs_and_its_weights_can_be_copied(tokenizer, tiny_encoder) -> None:
    head = FORMAT.build_head(TASK, tiny_encoder)
    state = head.state_dict()
    assert set(state) == {
        "dense.weight",
        "dense.bias",
        "layer_norm.weight",
        "layer_norm.bias",
        "bias",
    }
    torch.nn.init.normal_(head.bias)
    reference = XLMRobertaForMaskedLM(tiny_encoder.config).eval()
    reference.roberta.load_state_dict(tiny_encoder.state_dict())
    missing = reference.lm_head.load_state_dict(state, strict=False)
    assert set(missing.missing_keys) <= {"decoder.weight", "decoder.bias"}
    hidden = torch.randn(5, 32)
    with torch.no_grad():
        reference.lm_head.decoder.bias.copy_(head.bias)
        expected = reference.lm_head(hidden)
        torch.testing.assert_close(head(hidden), expected)


def test_the_decoder_is_the_encoders_embeddings_also_after_a_copy(tiny_encoder) -> None:
    head = FORMAT.build_head(TASK, tiny_encoder)
    pair = torch.nn.ModuleDict({"encoder": tiny_encoder, "head": head})
    assert len({id(p) for p in pair.parameters()}) == len(list(pair.parameters()))
    other = copy.deepcopy(pair)
    with torch.no_grad():
        other["encoder"].get_input_embeddings().weight.zero_()
    assert not other["head"](torch.randn(2, 32)).any()
    assert head(torch.randn(2, 32)).any()


def test_loss_and_hits_are_over_masked_tokens(tokenizer, tiny_encoder) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=64)
    batch = masked(collate(features, [0, 1], pad_id=1), share=0.5)
    head = FORMAT.build_head(TASK, tiny_encoder)
    hidden = torch.randn(2, batch.input_ids.shape[1], 32)
    logits = head(hidden)
    expected = cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    assert FORMAT.loss(head, hidden, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    outputs = FORMAT.predict(head, (hidden,), batch)
    for s, output in enumerate(outputs):
        chosen = batch.labels[s] != IGNORED
        right = logits[s].argmax(dim=-1)[chosen] == batch.labels[s][chosen]
        np.testing.assert_array_equal(output, right.numpy())
    assert FORMAT.num_items(batch) == sum(len(output) for output in outputs)


def test_score_weighs_tokens_and_not_rows(tokenizer) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=64)
    outputs = [np.array([1, 0, 0], np.float32), np.array([1], np.float32)]
    hits = FORMAT.decode(outputs, features, ROWS, TASK)
    assert hits == [(1, 3), (1, 1)]
    assert FORMAT.score(hits, ROWS, TASK, "en") == {"accuracy": 0.5}
    with pytest.raises(ValueError, match="no masked tokens"):
        FORMAT.score([(0, 0)], ROWS[:1], TASK, "en")
