"""Heads of transformers without their encoders. `test_families` compares all families with the
whole classes."""

import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

from spaces.phases import Pooling
from spaces.tasks.catalogue import SHIPPED
from trainables.formats.heads import PooledHead
from trainables.formats.own_heads import OwnHead, first_token_head, num_outputs

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
REL, FACT = SHIPPED.get("rel"), SHIPPED.get("fact")
HIDDEN, MASK = torch.randn(3, 5, 32), torch.ones(3, 5, dtype=torch.long)


def bert(**options: object) -> BertModel:
    return BertModel(BertConfig(**{**SIZES, **options}), add_pooling_layer=False)


def test_a_head_is_drawn_from_the_generator() -> None:
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(first_token_head(REL, bert(), {}).state_dict())
    first, same, other = heads
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    name = "whole.classifier.weight"
    assert not torch.equal(first[name], other[name])
    assert abs(float(first["whole.bert.pooler.dense.weight"].std()) - 0.02) < 0.002
    torch.manual_seed(1)
    wide = first_token_head(REL, bert(initializer_range=0.2), {}).state_dict()
    torch.testing.assert_close(wide[name], first[name] * 10)


def test_the_pooler_of_the_encoder_is_kept() -> None:
    pooler = {"dense.weight": torch.randn(32, 32), "dense.bias": torch.randn(32)}
    found = first_token_head(REL, bert(), pooler).state_dict()
    assert torch.equal(found["whole.bert.pooler.dense.weight"], pooler["dense.weight"])
    other = first_token_head(REL, bert(), {"dense.weight": torch.ones(3, 3)}).state_dict()
    assert other["whole.bert.pooler.dense.weight"].shape == (32, 32)


def test_it_reads_the_first_token_with_the_dropout_of_the_class() -> None:
    head = first_token_head(REL, bert(classifier_dropout=0.5), {})
    assert isinstance(head, OwnHead)
    changed = HIDDEN.clone()
    changed[:, 1:] += 1
    head.eval()
    assert torch.equal(head(HIDDEN, MASK), head(changed, MASK))
    assert head(HIDDEN, MASK).shape == (3, len(REL.labels))
    head.train()
    assert not torch.equal(head(HIDDEN, MASK), head(HIDDEN, MASK))
    assert first_token_head(FACT, bert(), {}).eval()(HIDDEN, MASK).shape == (3, 1)


def test_an_encoder_that_asks_for_a_mean_has_a_head_on_the_first_token() -> None:
    encoder = ModernBertModel(ModernBertConfig(**SIZES, pad_token_id=1, classifier_pooling="mean"))
    head = first_token_head(REL, encoder, {}).eval()
    changed = HIDDEN.clone()
    changed[:, 1:] += 1
    assert torch.equal(head(HIDDEN, MASK), head(changed, MASK))
    assert encoder.config.classifier_pooling == "mean", "the config of the encoder is not touched"


def test_a_family_without_a_class_has_the_head_of_xlm_r() -> None:
    encoder = bert()
    encoder.config.model_type = "longformer"
    head = first_token_head(FACT, encoder, {})
    assert isinstance(head, PooledHead)
    assert head.pooling is Pooling.FIRST
    assert head(HIDDEN, MASK).shape == (3, 1)


def test_the_completed_model_has_the_names_of_the_labels() -> None:
    encoder = bert()
    head = first_token_head(REL, encoder, {})
    assert isinstance(head, OwnHead)
    whole = head.completed(encoder)
    assert type(whole).__name__ == "BertForSequenceClassification"
    assert whole.config.label2id == {label: i for i, label in enumerate(REL.labels)}
    assert whole.config.problem_type == "single_label_classification"
    assert encoder.config.id2label != whole.config.id2label


def test_the_outputs_of_a_kind() -> None:
    assert (num_outputs(REL), num_outputs(FACT)) == (len(REL.labels), 1)
