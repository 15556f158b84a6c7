import copy
import re
from dataclasses import replace

import pytest

from spaces.refusal import Refusal
from spaces.study_file.sections import Precision
from trainables.rows.rows import Rows
from trainables.store.phase_store import PhaseStore
from trainables.store.remote_phases import RemotePhaseStore
from trainables.training.context import TrialContext, check_encoder
from trainables.training.key_facts import KeyFacts
from trainables.training.workers import Workers


def test_a_context_is_opened(open_context, base, tmp_path) -> None:
    context = open_context()
    assert isinstance(context, TrialContext)
    assert context.key_facts == KeyFacts.of(base, precision=Precision.FP32)
    assert context.base.weights_digest == base.weights_digest
    assert context.data.folder == tmp_path / "home" / "data"
    assert context.store.record("a" * 40) is None
    assert not (tmp_path / "home").exists()  # nothing is written before something is trained


def test_the_phase_store_is_the_one_that_the_driver_names(
    open_context, base, bucket, tmp_path, monkeypatch
) -> None:
    """Not that of this process's environment: a worker's may differ from the driver's."""
    monkeypatch.setenv("TRANSFER_SEARCH_PHASE_STORE", "s3://another/place")
    settings = open_context().settings
    given = {"home": tmp_path / "home", "encoder": settings.study.encoder}
    given["workers"] = Workers.alone()
    assert type(TrialContext.open(settings, **given).store) is PhaseStore
    store = TrialContext.open(settings, **given, phase_store=bucket).store
    assert isinstance(store, RemotePhaseStore)


def test_rows_are_read_where_the_study_says(open_context) -> None:
    keys = {"name": "tiny", "seed": 0, "encoder": "unused", "data_root": "/rows"}
    context = open_context(study=keys)
    assert context.data.rows == context.key_facts.rows == Rows("/rows")
    context = open_context(study=keys, evaluation={"halves": False})
    assert context.data.rows == context.key_facts.rows == Rows("/rows", halves=False)


def test_models_can_be_scored_on_other_rows_than_they_were_trained_on(open_context) -> None:
    context = open_context()
    whole = context.settings.evaluation.model_copy(update={"halves": False, "max_rows": None})
    other = context.scoring_by(whole)
    assert other.settings.evaluation == whole
    assert (other.data.rows, other.key_facts) == (Rows(halves=False), context.key_facts)
    assert other.store is context.store


RECIPE = {"num_steps": 1, "batch_size": 1}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"evaluation": {"retrieval_layer": 3}},
            "evaluation.retrieval_layer: retrieval layer 3: the encoder has 2 layers; "
            "set one from 1 to 2",
        ),
        (
            {"evaluation": {"retrieval_max_length": 129}},
            "evaluation.retrieval_max_length: max_length is 129 tokens, but the encoder has "
            "128 positions",
        ),
        (
            {
                "training": {
                    "intermediate": {**RECIPE, "max_length": 200},
                    "target": {**RECIPE, "max_length": 64},
                }
            },
            "training.intermediate.max_length: max_length is 200",
        ),
        (
            {
                "training": {
                    "intermediate": {**RECIPE, "max_length": 64},
                    "target": {**RECIPE, "max_length": 64},
                    "targets": {"coh": {"max_length": 300}},
                }
            },
            "training.targets.coh.max_length: max_length is 300",
        ),
        (
            {
                "training": {
                    "intermediate": {**RECIPE, "max_length": 64, "num_frozen_layers": 3},
                    "target": {**RECIPE, "max_length": 64},
                }
            },
            "num_frozen_layers is 3; expected at most 2, the",
        ),
    ],
)
def test_what_the_encoder_cannot_do_is_refused_before_training(
    open_context, tables, message
) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        open_context(**tables)


def test_what_no_target_reads_is_not_checked(open_context) -> None:
    context = open_context(space={"targets": ["coh"]}, evaluation={"retrieval_layer": 3})
    check_encoder(context.settings, context.base)


def test_an_encoder_that_cannot_compute_activations_twice_is_refused(open_context, monkeypatch):
    context = open_context(resources={"gradient_checkpointing": True})
    monkeypatch.setattr(type(context.base.encoder), "supports_gradient_checkpointing", False)
    with pytest.raises(Refusal, match=r"resources.gradient_checkpointing is true, but"):
        check_encoder(context.settings, context.base)


MASKS = [
    {"space": {"intermediate": ["none", "text"], "targets": ["coh"]}},
    {"space": {"intermediate": ["none", "text+rel"], "targets": ["coh"]}},
    {"space": {"targets": ["coh"], "mlm": {"text": "text", "shares": [0.3]}}},
]


@pytest.mark.parametrize("tables", MASKS)
def test_a_study_that_masks_tokens_needs_a_mask(open_context, tables) -> None:
    rates = {"intermediate_learning_rate": [1e-3], "target_learning_rate": [1e-3]}
    space = {"intermediate": ["none", "rel"], **rates, **tables["space"]}
    context = open_context(space=space)
    check_encoder(context.settings, context.base)
    tokenizer = copy.deepcopy(context.base.tokenizer)
    tokenizer.mask_token = None
    base = replace(context.base, tokenizer=tokenizer)
    with pytest.raises(Refusal, match="'text' masks tokens, but the encoder's tokenizer has no"):
        check_encoder(context.settings, base)
    check_encoder(open_context().settings, base)  # which masks nothing
