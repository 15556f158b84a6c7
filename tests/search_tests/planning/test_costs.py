"""What a study would cost, counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import XLMRobertaConfig, XLMRobertaModel

from search.planning.costs import KNOWN, EncoderShape, cost_of, num_weights, sequences_of
from search.planning.plan import plan_study
from spaces.json_values import to_json
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED

Settings = Callable[..., StudySettings]


def test_the_number_of_weights_is_the_encoders_own() -> None:
    config = XLMRobertaConfig(
        vocab_size=100,
        max_position_embeddings=34,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        type_vocab_size=1,
    )
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    counted = sum(weights.numel() for weights in encoder.parameters())
    shape = EncoderShape(
        vocabulary=100, positions=34, hidden_size=16, num_layers=3, feed_forward_size=24
    )
    assert shape.num_weights == counted


def test_the_known_encoders_have_the_size_their_makers_say() -> None:
    """559 M for XLM-R Large, in table 7 of arXiv 2010.12821 (rounded)."""
    assert round(KNOWN["FacebookAI/xlm-roberta-large"].num_weights / 1e6) == 559


def test_sequences_of_an_example() -> None:
    counts = {"mnli": 1, "hellaswag": 4, "csqa": 5, "squad": 1, "tatoeba": 2, "flores": 1}
    assert {task: sequences_of(SHIPPED.get(task)) for task in counts} == counts


def test_a_grid_counted_by_hand(settings_of: Settings) -> None:
    """Baselines at 2 rates, `fact` (a choice of four) at 2 rates before each: 2 stems, 2 + 4 target
    phases. Validation rows: 60 of `rel` in three languages, 60 of retrieval in two, two sequences
    each, for every of the 6 plans."""
    settings = settings_of(space={"intermediate": ["none", "fact"]})
    cost = plan_study(settings, sequences_per_second=10).cost
    assert cost is not None
    intermediate, target = 20 * 16 * 4, 60 * 16
    assert cost.trained_sequences == 2 * intermediate + 6 * target
    assert cost.dev_sequences == 0
    assert cost.scored_sequences == 6 * (60 * 3 + 60 * 2 * 2)
    assert cost.not_counted == ()
    spent = cost.trained_sequences + cost.scored_sequences / 3
    assert cost.gpu_hours == pytest.approx(spent / 10 / 3600)
    assert cost.disk_bytes is None, "the encoder `tiny` is no folder here"
    assert json.loads(json.dumps(to_json(cost)))["sequences_per_second"] == 10


def test_early_stopping_costs_forward_passes(settings_of: Settings) -> None:
    recipe = {"num_steps": 60, "batch_size": 16, "max_length": 64, "evaluate_every": 25}
    settings = settings_of(
        space={"intermediate": ["none", "fact"]},
        training={"target": {**recipe, "max_dev_rows": 40}},
    )
    cost = plan_study(settings).cost
    assert cost is not None
    assert cost.dev_sequences == 6 * 2 * 40, "two evaluations in 60 steps"


def test_the_paper_study() -> None:
    """Nine singles, all, masking alone and the baseline, each but the last two without and with
    masking, by three seeds; XQuAD and MLQA share a phase, retrieval has none. MNLI and SQuAD as
    intermediate tasks are drawn otherwise than as the baseline's targets: no stage is shared."""
    settings = StudySettings.load("paper")
    plan = plan_study(settings)
    assert plan.num_plans == settings.budget.num_trials == 3 * (10 * 2 + 2)
    assert plan.num_stages == 3 * (21 + 22 * 6)
    assert plan.errors == ()
    cost = plan.cost
    assert cost is not None
    assert cost.not_counted == ("bucc",), "corpora of one's own"
    large = KNOWN["FacebookAI/xlm-roberta-large"].num_weights
    assert cost.disk_bytes == plan.num_stages * 4 * large


def test_the_size_of_an_encoder_in_a_folder(settings_of: Settings, tmp_path: Path) -> None:
    config = {
        "vocab_size": 100,
        "max_position_embeddings": 34,
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "intermediate_size": 24,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = settings_of(study={"encoder": str(tmp_path)})
    assert (
        num_weights(settings)
        == EncoderShape(
            vocabulary=100, positions=34, hidden_size=16, num_layers=3, feed_forward_size=24
        ).num_weights
    )
    (tmp_path / "config.json").write_text('{"vocab_size": 100}')
    assert num_weights(settings) is None
    assert cost_of(settings, [], []).disk_bytes is None
