"""Zero-shot evaluation: all languages of a task in one length-sorted pass over one model."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spaces.study_file.sections import RetrievalDirection
from spaces.tasks.task import Task, TaskKind
from trainables.encoders.model import TransferModel
from trainables.examples import Example
from trainables.formats.base import Features, Format, Judgement, collate
from trainables.formats.kinds import format_of_task
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import RetrievalFormat, SentenceFormat
from trainables.rows.rows import Rows
from trainables.scoring.metrics import collapsed_to
from trainables.scoring.outcomes import Outcomes
from trainables.scoring.scores import Mark, ScoringProtocol, TargetScores
from trainables.training.batches import by_length, units_of
from trainables.training.context import TrialContext
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.loop import to_device
from trainables.training.workers import reading_tokens

LABELLED = (
    TaskKind.CLASSIFICATION,
    TaskKind.CHOICE,
    TaskKind.TAGGING,
)  # the kinds whose predictions may collapse


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What is scored and how, without the model. `selection` and `text_prefix` are only recorded in
    the protocol: the tokenizer adds the prefix."""

    task: Task
    languages: tuple[str, ...]
    split: str
    max_rows: int | None
    max_length: int
    retrieval_layer: int | None
    selection: str
    to_english: bool = False
    text_prefix: str = ""

    @property
    def format(self) -> Format[Any, Any]:
        """The format that predicts and judges the rows."""
        return format_of_task(
            self.task, retrieval_layer=self.retrieval_layer, to_english=self.to_english
        )


@dataclass(frozen=True, slots=True)
class Predictions:
    """One prediction per row, by language. `formats` holds the formats of languages for which
    something was fixed on other rows (a mining threshold)."""

    by_language: Mapping[str, list[Any]]
    formats: Mapping[str, Format[Any, Any]]


def evaluate(
    model: TransferModel, scoring: Scoring, context: TrialContext, *, loss_fell: bool = True
) -> TargetScores:
    """The scores of one task in the languages of `scoring`, on every worker."""
    return evaluate_rows(model, scoring, context, loss_fell=loss_fell)[0]


def evaluate_rows(
    model: TransferModel, scoring: Scoring, context: TrialContext, *, loss_fell: bool
) -> tuple[TargetScores, Mapping[str, Outcomes]]:
    """The scores of one task, and the outcome of every row by language."""
    predicted = predictions_of(model, scoring, context)
    judged = judge(predicted.by_language, scoring, context, formats=predicted.formats)
    scores = _scores_of(judged, predicted, scoring, context, loss_fell=loss_fell)
    return scores, {language: result.outcomes for language, result in judged.items()}


def predictions_of(model: TransferModel, scoring: Scoring, context: TrialContext) -> Predictions:
    """The model's predictions for every row, ready to be scored."""
    return Predictions(predict(model, scoring, context), _fixed_formats(model, scoring, context))


def scores_of(
    predicted: Predictions, scoring: Scoring, context: TrialContext, *, loss_fell: bool
) -> TargetScores:
    """The scores of predictions, with their protocol and mark."""
    judged = judge(predicted.by_language, scoring, context, formats=predicted.formats)
    return _scores_of(judged, predicted, scoring, context, loss_fell=loss_fell)


def _scores_of(
    judged: Mapping[str, Judgement],
    predicted: Predictions,
    scoring: Scoring,
    context: TrialContext,
    *,
    loss_fell: bool,
) -> TargetScores:
    task, predictions = scoring.task, predicted.by_language
    features = {code: _features(scoring, code, context) for code in scoring.languages}
    fertility = {code: f.fertility for code, f in features.items() if f.fertility is not None}
    num_rows = {language: len(predicted) for language, predicted in predictions.items()}
    scores = TargetScores(
        task=task.name,
        main=task.metric,
        source_language=task.source_language,
        chance=chance_of(task, num_rows),
        languages={language: dict(result.metrics) for language, result in judged.items()},
        num_rows=num_rows,
        num_truncated={code: f.num_truncated for code, f in features.items()},
        fertility=fertility,
        protocol=protocol_of(scoring, num_layers=context.base.num_layers, rows=context.data.rows),
    )
    source = task.source_language
    predicted_source = predictions.get(source, [])
    has_labels = bool(predicted_source) and task.kind in LABELLED
    rows = _examples(scoring, source, context) if has_labels else ()
    return replace(scores, mark=mark_of(task, scores, predicted_source, rows, loss_fell=loss_fell))


def score(
    predictions: Mapping[str, Sequence[Any]], scoring: Scoring, context: TrialContext
) -> dict[str, dict[str, float]]:
    """Language -> metric -> value in [0, 1] of these predictions."""
    judged = judge(predictions, scoring, context, formats={})
    return {language: dict(result.metrics) for language, result in judged.items()}


def judge(
    predictions: Mapping[str, Sequence[Any]],
    scoring: Scoring,
    context: TrialContext,
    *,
    formats: Mapping[str, Format[Any, Any]],
) -> dict[str, Judgement]:
    """Language -> metrics and outcomes of these predictions. `formats` as in `Predictions`."""
    task = scoring.task
    return {
        language: formats.get(language, scoring.format).judge(
            predicted, _examples(scoring, language, context), task, language
        )
        for language, predicted in predictions.items()
    }


def _fixed_formats(
    model: TransferModel, scoring: Scoring, context: TrialContext
) -> Mapping[str, Format[Any, Any]]:
    """The formats of mining with a threshold from the validation rows, by language. These rows are
    mined first where other rows are scored; other formats fix nothing."""
    mining = scoring.format
    if not isinstance(mining, MiningFormat) or scoring.split == "validation":
        return {}
    dev = replace(scoring, split="validation")
    mined = predict(model, dev, context)
    return {
        code: mining.with_threshold_of(pairs, _examples(dev, code, context))
        for code, pairs in mined.items()
    }


def predict(model: TransferModel, scoring: Scoring, context: TrialContext) -> dict[str, list[Any]]:
    """One prediction per row in every language, from one pass over all languages sorted by length.

    Workers take batches in turn and exchange their predictions. Formats that keep the vectors of
    all layers, which are large, make one pass per language.
    """
    passes = [scoring.languages] if scoring.languages else []
    if scoring.format.reads_all_layers:
        passes = [(language,) for language in scoring.languages]
    predictions: dict[str, list[Any]] = {}
    for languages in passes:
        predictions.update(_predict(model, replace(scoring, languages=languages), context))
    return predictions


def _predict(model: TransferModel, scoring: Scoring, context: TrialContext) -> dict[str, list[Any]]:
    """The predictions for all languages of `scoring` in one pass."""
    task = scoring.task
    by_language = {code: _features(scoring, code, context) for code in scoring.languages}
    outputs = _outputs(model, scoring, join_features(list(by_language.values())), context)
    predictions = {}
    start = 0
    for language, features in by_language.items():
        part = outputs[start : start + len(features)]
        start += len(features)
        examples = _examples(scoring, language, context)
        predictions[language] = scoring.format.decode(part, features, examples, task)
    return predictions


def _examples(scoring: Scoring, language: str, context: TrialContext) -> tuple[Example, ...]:
    return context.data.examples(scoring.task, language, scoring.split, max_rows=scoring.max_rows)


def _features(scoring: Scoring, language: str, context: TrialContext) -> Features:
    return context.data.features(
        scoring.task,
        language,
        scoring.split,
        max_rows=scoring.max_rows,
        max_length=scoring.max_length,
    )


@torch.inference_mode()
def _outputs(
    model: TransferModel, scoring: Scoring, features: Features, context: TrialContext
) -> list[npt.NDArray[np.float32]]:
    """The model's output for every sequence, in order."""
    task, task_format, workers = scoring.task, scoring.format, context.workers
    head = model.heads[task.training_task.name] if task.trains else None
    batches = by_length(
        features.input_ids.lengths,
        units_of(features, task.kind),
        max_tokens=context.settings.evaluation.max_batch_tokens or reading_tokens(workers.device),
    )
    pad_id = context.base.tokenizer.pad_token_id
    by_sequence: dict[int, npt.NDArray[np.float32]] = {}
    model.eval()
    for sequences in batches[workers.rank :: workers.size]:
        batch = to_device(collate(features, sequences, pad_id=pad_id), workers.device)
        with workers.autocast():
            hidden = model(batch, all_layers=task_format.reads_all_layers)
        if (
            not task_format.reads_all_layers
        ):  # the others have no head, and need no copy of all layers
            hidden = tuple(layer.float() for layer in hidden)
        by_sequence.update(zip(sequences, task_format.predict(head, hidden, batch), strict=True))
    for part in workers.gather(by_sequence):
        by_sequence.update(part)
    return [by_sequence[sequence] for sequence in range(len(features))]


def protocol_of(
    scoring: Scoring,
    *,
    num_layers: int,
    rows: Rows = Rows(),  # noqa: B008, it is frozen
) -> ScoringProtocol:
    """The protocol of a scoring: what must agree for two scores to be comparable."""
    task, task_format = scoring.task, scoring.format
    layer = task_format.layer_of(num_layers) if isinstance(task_format, SentenceFormat) else None
    cell = (task, scoring.languages, scoring.split)
    data = [[code, rows.fingerprint(task, code, scoring.split)] for code in scoring.languages]
    return ScoringProtocol(
        task=task.name,
        metric=task.metric,
        split=scoring.split,
        selection=scoring.selection,
        data=_digest(data),
        labels=_digest(list(task.labels)),
        rows=scoring.max_rows or 0,
        layer=layer,
        pooling="mean" if layer is not None else None,
        max_length=scoring.max_length,
        training_version=TRAINING_VERSION,
        cut=rows.describe_cut(*cell),
        revision=rows.commits(*cell),
        scoring_version=scoring.format.scoring_version(task),
        direction=_direction(task_format),
        text_prefix=scoring.text_prefix,
    )


def _direction(task_format: Format[Any, Any]) -> str:
    """The direction of a retrieval format where it is not that of XTREME; else empty."""
    is_reverse = isinstance(task_format, RetrievalFormat) and task_format.to_english
    return RetrievalDirection.TO_ENGLISH.value if is_reverse else ""


def chance_of(task: Task, num_rows: Mapping[str, int]) -> float:
    """The main score of guessing, as a mean over languages with these numbers of rows. In retrieval
    each row is one candidate, so fewer rows are easier to guess."""
    if (
        task.kind is not TaskKind.RETRIEVAL
        or task.metric != "accuracy"
        or not all(num_rows.values())
    ):
        return task.chance
    return fmean(1 / count for count in num_rows.values())


def mark_of(
    task: Task,
    scores: TargetScores,
    predicted: Sequence[Any],
    rows: Sequence[Example],
    *,
    loss_fell: bool,
) -> Mark:
    """The mark of a target's scores. COLLAPSED: one label is predicted whatever the gold label is
    (`metrics.collapsed_to`), or the loss did not fall. NO_SIGNAL: the source score is at most two
    standard errors above chance, or above the score of always predicting the most common label
    there.

    Args:
        predicted: one prediction per source row; empty where that language is not scored.
        rows: these rows; empty for kinds without labels.
    """
    if task.trains and not loss_fell:
        return Mark.COLLAPSED
    chance = scores.chance
    if rows:
        golds = gold_labels(task, rows)
        if collapsed_to(_flat(predicted), _flat(golds)) is not None:
            return Mark.COLLAPSED
        chance = max(chance, _guessing(task, rows, golds))
    score = scores.zero_shot_mean if scores.source is None else scores.source
    num_rows = scores.num_rows.get(task.source_language, sum(scores.num_rows.values()))
    error = math.sqrt(chance * (1 - chance) / num_rows)
    return Mark.NO_SIGNAL if score <= chance + 2 * error else Mark.NONE


def gold_labels(task: Task, rows: Sequence[Any]) -> list[Any]:
    """The right prediction for each row, for the kinds in LABELLED."""
    return [row.tags if task.kind is TaskKind.TAGGING else row.label for row in rows]


def _guessing(task: Task, rows: Sequence[Example], golds: Sequence[Any]) -> float:
    """The main score of always predicting the most common gold label: above chance where labels are
    uneven (60 % in PAWS-X; a sixth of all words are nouns)."""
    commonest = Counter(_flat(golds)).most_common(1)[0][0]
    is_tagged = task.kind is TaskKind.TAGGING
    guesses = [(commonest,) * len(gold) if is_tagged else commonest for gold in golds]
    judged = format_of_task(task).judge(guesses, rows, task, task.source_language)
    return float(judged.metrics[task.metric])


def _flat(labels: Sequence[Any]) -> list[Any]:
    """One label per word for rows that have several labels."""
    return [label for row in labels for label in (row if isinstance(row, tuple) else (row,))]


def join_features(parts: Sequence[Features]) -> Features:
    """The sequences of all parts, one part after the other, with rows numbered on."""
    num_rows = [int(part.example[-1]) + 1 if len(part) else 0 for part in parts]
    rows_before = np.cumsum([0, *num_rows[:-1]])
    return Features(
        input_ids=_chain([part.input_ids for part in parts]),
        second=np.concatenate([part.second for part in parts]),
        example=np.concatenate([p.example + n for p, n in zip(parts, rows_before, strict=True)]),
        labels=_chain([part.labels for part in parts]),
        origins=_chain([part.origins for part in parts]),
        num_truncated=sum(part.num_truncated for part in parts),
    )


def _chain(parts: Sequence[Any]) -> Any:
    kind = type(parts[0])
    starts = np.cumsum([0, *(len(part.values) for part in parts[:-1])])
    offsets = [p.offsets[:-1] + n for p, n in zip(parts, starts, strict=True)]
    total = np.array([sum(len(part.values) for part in parts)])
    return kind(np.concatenate([p.values for p in parts]), np.concatenate([*offsets, total]))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
