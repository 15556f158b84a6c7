from dataclasses import replace

import numpy as np
import pytest
import torch

from spaces.study_file.sections import Precision
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.examples import ChoiceExample, PairExample, TaggingExample
from trainables.formats.base import Features, Ragged
from trainables.scoring.scores import Mark, TargetScores
from trainables.training.evaluate import (
    Scoring,
    _guessing,
    _outputs,
    chance_of,
    evaluate,
    join_features,
    mark_of,
    predict,
    protocol_of,
    score,
)

SCORED = [
    task.name for task in SHIPPED if task.kind is not TaskKind.MLM and task.dataset == "pocket"
]


def scoring_of(task: str, *languages: str, **changes) -> Scoring:
    scoring = Scoring(
        task=SHIPPED.get(task),
        languages=languages or ("de", "ja"),
        split="validation",
        max_rows=15,
        max_length=64,
        retrieval_layer=None,
        selection="target_dev",
    )
    return replace(scoring, **changes)


def model_of(context, task: str):
    entry = SHIPPED.get(task)
    return context.base.model([entry.training_task] if entry.trains else [], encoder=None, seed=0)


@pytest.mark.parametrize("task", SCORED)
def test_languages_do_not_change_each_others_scores(open_context, task: str) -> None:
    context = open_context()
    model = model_of(context, task)
    languages = ("de", "ja", "sw") if not SHIPPED.get(task).trains else ("en", "de", "ja")
    scores = evaluate(model, scoring_of(task, *languages), context)
    assert set(scores.languages) == set(languages)
    assert all(0 <= v <= 1 for result in scores.languages.values() for v in result.values())
    assert scores.num_rows == dict.fromkeys(languages, 15)
    for language in languages:
        alone = scoring_of(task, language)
        predictions = predict(model, alone, context)
        assert score(predictions, alone, context)[language] == scores.languages[language]


@pytest.mark.parametrize("task", SCORED)
def test_batches_do_not_change_predictions(open_context, task: str) -> None:
    large, small = open_context(), open_context(evaluation={"max_rows": 12, "max_batch_tokens": 1})
    model, scoring = model_of(large, task), scoring_of(task, "de", "ja")
    assert predict(model, scoring, large) == predict(model, scoring, small)


def test_predictions_are_one_a_row_in_order(open_context) -> None:
    """A head that tells the number of tokens of a row, whatever batch it was in."""
    context = open_context()
    result = predict(model_of(context, "fact"), scoring_of("fact", "ja", "de"), context)
    assert list(result) == ["ja", "de"]
    assert [len(rows) for rows in result.values()] == [15, 15]
    assert predict(model_of(context, "fact"), scoring_of("fact", languages=()), context) == {}


def test_dropout_is_off_and_no_gradient_is_kept(open_context) -> None:
    context = open_context()
    model = model_of(context, "coh")
    model.train()
    evaluate(model, scoring_of("coh"), context)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_retrieval_is_scored_at_the_layer_asked_for(open_context) -> None:
    context = open_context()
    model = model_of(context, "retrieval")
    for layer in (1, 2):
        result = evaluate(model, scoring_of("retrieval", retrieval_layer=layer), context)
        for values in result.languages.values():
            assert values["accuracy"] == values[f"accuracy.layer_{layer}"]
        assert result.protocol.layer == layer
        assert result.source is None


def test_rows_that_were_cut_are_counted_by_language(open_context) -> None:
    context = open_context()
    model = model_of(context, "coh")
    whole = evaluate(model, scoring_of("coh", "en", "de", max_length=128), context)
    assert whole.num_truncated == {"en": 0, "de": 0}
    short = evaluate(model, scoring_of("coh", "en", "de", max_length=16), context)
    lengths = {
        code: context.data.features(
            SHIPPED.get("coh"), code, "validation", max_rows=15, max_length=128
        )
        for code in ("en", "de")
    }
    expected = {code: int((f.input_ids.lengths > 16).sum()) for code, f in lengths.items()}
    assert short.num_truncated == expected
    assert sum(expected.values()) > 0
    fertility = {code: result.fertility for code, result in lengths.items()}
    assert whole.fertility == short.fertility == fertility
    assert min(fertility.values()) > 0.5


# ---- marks


def scores_of(task: str, source: float, zero_shot: float, num_rows: int = 400) -> TargetScores:
    entry = SHIPPED.get(task)
    languages = {"de": zero_shot, **({"en": source} if entry.trains else {})}
    return TargetScores(
        task=task,
        main=entry.metric,
        source_language="en",
        chance=entry.chance,
        languages={code: {entry.metric: value} for code, value in languages.items()},
        num_rows=dict.fromkeys(languages, num_rows),
        protocol=protocol_of(scoring_of(task), num_layers=2),
    )


def pairs(*labels: str) -> list[PairExample]:
    return [PairExample(id=f"{i}", text_a="a", text_b="b", label=x) for i, x in enumerate(labels)]


def choices(*labels: int) -> list[ChoiceExample]:
    options = ("a", "b", "c", "d")
    return [
        ChoiceExample(id=f"{i}", text="t", choices=options, label=label)
        for i, label in enumerate(labels)
    ]


def sentences(*tags: tuple[str, ...]) -> list[TaggingExample]:
    return [
        TaggingExample(id=f"{i}", words=("w",) * len(row), tags=row) for i, row in enumerate(tags)
    ]


MIXED = ["coherent", "incoherent"] * 200
EVEN = pairs(*MIXED)


@pytest.mark.parametrize(
    ("source", "predictions", "loss_fell", "mark"),
    [
        (0.9, MIXED, True, Mark.NONE),
        (0.9, MIXED, False, Mark.COLLAPSED),
        (0.5, ["coherent"] * 400, True, Mark.COLLAPSED),
        (0.5, ["coherent"] * 396 + ["incoherent"] * 4, True, Mark.COLLAPSED),
        (0.9, ["coherent"] * 395 + ["incoherent"] * 5, True, Mark.NONE),
        (0.5, MIXED, True, Mark.NO_SIGNAL),
        # by hand: two standard errors of 400 coins are 2 * sqrt(0.25 / 400) = 0.05
        (0.55, MIXED, True, Mark.NO_SIGNAL),
        (0.5525, MIXED, True, Mark.NONE),
        (0.1, MIXED, True, Mark.NO_SIGNAL),
    ],
)
def test_marks_of_classification(source: float, predictions, loss_fell: bool, mark: Mark) -> None:
    scores = scores_of("coh", source, 0.5)
    assert mark_of(SHIPPED.get("coh"), scores, predictions, EVEN, loss_fell=loss_fell) is mark


def test_uneven_labels_are_guessed_above_chance() -> None:
    """By hand: 0.6 and two standard errors of 400 such rows are 0.6 + 2 * sqrt(0.24 / 400)."""
    uneven = pairs(*["coherent"] * 240, *["incoherent"] * 160)
    for source, mark in ((0.6, Mark.NO_SIGNAL), (0.648, Mark.NO_SIGNAL), (0.65, Mark.NONE)):
        scores = scores_of("coh", source, 0.5)
        assert mark_of(SHIPPED.get("coh"), scores, MIXED, uneven, loss_fell=True) is mark
    scores = scores_of("coh", 0.6, 0.5)
    assert mark_of(SHIPPED.get("coh"), scores, MIXED, EVEN, loss_fell=True) is Mark.NONE


def test_skewed_labels_that_are_predicted_rightly_are_no_collapse(task_of_kind) -> None:
    fraud = ["incoherent"] * 5 + ["coherent"] * 995
    scores = scores_of("coh", 1.0, 0.9, num_rows=1000)
    assert mark_of(SHIPPED.get("coh"), scores, fraud, pairs(*fraud), loss_fell=True) is Mark.NONE
    same = ["coherent"] * 1000
    scores = scores_of("coh", 0.995, 0.9, num_rows=1000)
    assert (
        mark_of(SHIPPED.get("coh"), scores, same, pairs(*fraud), loss_fell=True) is Mark.COLLAPSED
    )

    task = SHIPPED.get(task_of_kind(TaskKind.TAGGING))
    common, rare = task.labels[:2]
    gold, other = [(common,) * 120 + (rare,)] * 200, [(common,) * 121] * 200
    rows = sentences(*gold)
    assert mark_of(task, scores_of(task.name, 1.0, 0.9), gold, rows, loss_fell=True) is Mark.NONE
    result = mark_of(task, scores_of(task.name, 0.9, 0.9), other, rows, loss_fell=True)
    assert result is Mark.COLLAPSED


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 0.75), ("f1", 0.0)],  # a word that is no span is none where spans are counted
)
def test_the_commonest_tag_is_guessed_by_the_tasks_own_metric(metric: str, expected: float) -> None:
    task = replace(SHIPPED.get("ner"), metric=metric)
    rows = sentences(("O", "O", "B-LOC"), ("O",))
    assert _guessing(task, rows, [row.tags for row in rows]) == expected


def test_the_commonest_label_is_counted_on_source_rows(open_context) -> None:
    context = open_context()
    for name in ("coh", "fact"):
        task, rows = (
            SHIPPED.get(name),
            context.data.examples(SHIPPED.get(name), "en", "validation", max_rows=15),
        )
        labels = [row.label for row in rows]
        most = max(labels.count(label) for label in labels) / 15
        assert _guessing(task, rows, labels) == pytest.approx(most)


def test_marks_of_other_kinds(task_of_kind) -> None:
    fact, labels = SHIPPED.get("fact"), [0, 1, 2, 3] * 100
    scores, rows = scores_of("fact", 0.9, 0.2), choices(*labels)
    assert mark_of(fact, scores, labels, rows, loss_fell=True) is Mark.NONE
    scores = scores_of("fact", 0.25, 0.2)
    assert mark_of(fact, scores, [1] * 400, rows, loss_fell=True) is Mark.COLLAPSED
    # Answers with one label half of the time are found without reading.
    uneven = choices(*[0] * 200, *labels[:200])
    scores = scores_of("fact", 0.63, 0.2)
    assert mark_of(fact, scores, labels, uneven, loss_fell=True) is Mark.NO_SIGNAL
    assert mark_of(fact, scores, labels, rows, loss_fell=True) is Mark.NONE
    retrieval = SHIPPED.get("retrieval")
    # nothing was trained for it: only the signal counts, in the zero-shot languages
    scores = scores_of("retrieval", 0, 0.5)
    assert mark_of(retrieval, scores, [], [], loss_fell=False) is Mark.NONE
    scores = scores_of("retrieval", 0, 0.0)
    assert mark_of(retrieval, scores, [], [], loss_fell=True) is Mark.NO_SIGNAL


def test_chance_of_retrieval_is_one_of_the_candidates() -> None:
    """By hand: one of 100 and one of 50 are 1.5 % on average."""
    tatoeba, bucc = SHIPPED.get("tatoeba"), SHIPPED.get("bucc")
    assert chance_of(tatoeba, {"de": 100, "ja": 50}) == pytest.approx(0.015)
    assert chance_of(tatoeba, {"de": 500}) == pytest.approx(tatoeba.chance)
    assert chance_of(bucc, {"de": 100}) == bucc.chance, "mined from all rows, not looked up"
    assert chance_of(SHIPPED.get("coh"), {"en": 100, "de": 100}) == SHIPPED.get("coh").chance


def test_guessing_among_few_candidates_is_no_signal(open_context) -> None:
    """Fifteen rows a language: one of them is hit by chance, which is 7 %, not one of hundreds."""
    context = open_context()
    model = model_of(context, "retrieval")
    scores = evaluate(model, scoring_of("retrieval", "de", "ja"), context)
    assert scores.chance == pytest.approx(1 / 15)
    at_chance = replace(scores, languages={c: {"accuracy": 1 / 15} for c in ("de", "ja")})
    task = SHIPPED.get("retrieval")
    assert mark_of(task, at_chance, [], [], loss_fell=True) is Mark.NO_SIGNAL


def test_a_tagger_of_one_tag_is_collapsed(task_of_kind) -> None:
    task = SHIPPED.get(task_of_kind(TaskKind.TAGGING))
    scores = scores_of(task.name, 0.9, 0.5)
    one, other = task.labels[:2]
    rows = sentences(*[(one, other, other)] * 100)
    assert mark_of(task, scores, [(one,) * 3] * 100, rows, loss_fell=True) is Mark.COLLAPSED
    assert mark_of(task, scores, [(one, other, one)] * 100, rows, loss_fell=True) is Mark.NONE


def test_a_collapsed_model_is_marked(open_context) -> None:
    context = open_context()
    model = model_of(context, "coh")
    with torch.no_grad():
        model.heads["coh"].out_proj.weight.zero_()
        model.heads["coh"].out_proj.bias.copy_(torch.tensor([0.0, 9.0]))
    scores = evaluate(model, scoring_of("coh", "en", "de"), context)
    assert scores.mark is Mark.COLLAPSED


@pytest.mark.parametrize("task", [name for name in SCORED if SHIPPED.get(name).trains])
def test_heads_compute_in_float32_whatever_the_encoder_does(open_context, task: str) -> None:
    """In bf16 the logits of a batch would fall on a coarse grid, and tie."""
    context = open_context()
    half = replace(context, workers=replace(context.workers, precision=Precision.BF16))
    model, scoring = model_of(context, task), scoring_of(task, "de")
    seen: dict[str, torch.dtype] = {}
    head = model.heads[SHIPPED.get(task).training_task.name]
    layer = next(module for module in head.modules() if isinstance(module, torch.nn.Linear))
    query = model.encoder.encoder.layer[0].attention.self.query
    layer.register_forward_hook(lambda _, given, out: seen.update(head=out.dtype))
    query.register_forward_hook(lambda _, given, out: seen.update(encoder=out.dtype))
    features = context.data.features(
        SHIPPED.get(task), "de", "validation", max_rows=15, max_length=64
    )
    outputs = _outputs(model, scoring, features, half)
    assert seen == {"encoder": torch.bfloat16, "head": torch.float32}
    values = torch.cat([torch.from_numpy(output).flatten() for output in outputs])
    if SHIPPED.get(task).kind is not TaskKind.TAGGING:  # whose outputs are labels already
        assert not torch.equal(values, values.bfloat16().float())


# ---- protocols


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"split": "test"}, ["split", "data"]),
        ({"max_rows": None}, ["rows"]),
        ({"max_length": 32}, ["max_length"]),
        ({"selection": "source_dev"}, ["selection"]),
        ({"languages": ("de", "sw")}, ["data"]),
        ({"retrieval_layer": 2}, ["layer"]),
        ({"to_english": True}, ["direction"]),
        ({"text_prefix": "query: "}, ["text_prefix"]),
        ({}, []),
    ],
)
def test_protocols_that_differ_name_the_fields(change: dict, fields: list[str]) -> None:
    one = protocol_of(scoring_of("retrieval"), num_layers=2)
    other = protocol_of(scoring_of("retrieval", **change), num_layers=2)
    assert one.differences(other) == fields
    assert one.pooling == "mean"


def test_only_retrieval_has_a_layer() -> None:
    protocol = protocol_of(scoring_of("coh", retrieval_layer=2), num_layers=2)
    assert (protocol.layer, protocol.pooling) == (None, None)


# ---- joining


def test_languages_are_joined_one_after_the_other() -> None:
    def part(*rows: list[int], counts: list[int]) -> Features:
        return Features(
            input_ids=Ragged.of(rows),
            second=np.array([len(row) for row in rows], np.int32),
            example=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            labels=Ragged.of([row[:1] for row in rows]),
            origins=Ragged.of([[] for _ in rows]),
            num_truncated=len(rows),
        )

    empty = part(counts=[])
    parts = [
        empty,
        part([1, 2], [3], counts=[2]),
        empty,
        part([4], [5, 6, 7], counts=[1, 1]),
        empty,
    ]
    joined = join_features(parts)
    assert [joined.input_ids[i].tolist() for i in range(4)] == [[1, 2], [3], [4], [5, 6, 7]]
    assert [joined.labels[i].tolist() for i in range(4)] == [[1], [3], [4], [5]]
    assert joined.example.tolist() == [0, 0, 1, 2]
    assert joined.second.tolist() == [2, 1, 1, 3]
    assert joined.num_truncated == 4
    assert len(joined) == 4
    assert len(join_features([empty])) == 0


WORDS = ("Haus", "Sonne", "Meer", "Katze", "Baum", "Wind", "Stadt", "Brot", "Tisch", "Feuer")


@pytest.fixture
def corpora(tmp_path):
    """German and English sentences, every second one of which has a partner: the same words."""
    folder = tmp_path / "root" / "bucc2018" / "de-en"
    folder.mkdir(parents=True)
    for split, first in (("sample", 0), ("training", 3)):
        lines = {"de": [], "en": [], "gold": []}
        for n in range(30):
            words = [WORDS[(first + n * k) % 10] for k in (1, 3, 7)] + [str(n)]
            lines["de"].append(f"de-{n:09d}\t{' '.join(words)}")
            if n % 2:
                lines["en"].append(f"en-{n:09d}\t{' '.join(words)} .")
                lines["gold"].append(f"de-{n:09d}\ten-{n:09d}")
            else:
                lines["en"].append(f"en-{n:09d}\t{' '.join(reversed(WORDS[n % 7 :]))} {n}")
        for end, content in lines.items():
            (folder / f"de-en.{split}.{end}").write_text("\n".join(content))
    return tmp_path / "root"


def test_mined_pairs_count_from_the_threshold_that_validation_rows_fixed(
    open_context, corpora
) -> None:
    context = open_context(
        study={"name": "tiny", "encoder": "e", "seed": 0, "data_root": str(corpora)}
    )
    task, model = SHIPPED.get("bucc"), model_of(context, "bucc")
    test = scoring_of("bucc", "de", split="test", max_rows=None, retrieval_layer=1)
    dev = replace(test, split="validation")
    mined = {s.split: predict(model, s, context)["de"] for s in (test, dev)}
    rows = {
        s: context.data.rows.examples(SHIPPED.get("bucc"), "de", s) for s in ("test", "validation")
    }

    fixed = test.format.with_threshold_of(mined["validation"], rows["validation"])
    by_hand = fixed.score(mined["test"], rows["test"], task, "de")
    result = evaluate(model, test, context)
    assert result.languages["de"] == by_hand
    assert result.by_language["de"] == by_hand["f1"] > 0.5
    assert result.protocol.layer == 1
    assert result.num_rows == {"de": 60}
    # On the validation rows the threshold is their own, the best there is.
    best = fixed.score(mined["validation"], rows["validation"], task, "de")
    assert evaluate(model, dev, context).languages["de"] == best
