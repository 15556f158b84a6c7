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

from spaces.task_catalog import Task, TaskKind, get_task
from trainables.encoders.model import TransferModel
from trainables.examples import Example
from trainables.formats.base import Features, Format, Judgement, collate
from trainables.formats.kinds import format_of_task
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import SentenceFormat
from trainables.rows.rows import Rows
from trainables.scoring.metrics import collapsed_to
from trainables.scoring.outcomes import Outcomes
from trainables.scoring.scores import Mark, ScoringProtocol, TargetScores
from trainables.training.batches import by_length, units_of
from trainables.training.context import TrialContext
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.loop import to_device
from trainables.training.workers import reading_tokens

LABELLED = (TaskKind.CLASSIFICATION, TaskKind.CHOICE, TaskKind.TAGGING)  # what may collapse


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What is scored and how, the model apart. `selection` only goes into the protocol."""

    task: str
    languages: tuple[str, ...]
    split: str
    max_rows: int | None
    max_length: int
    retrieval_layer: int | None
    selection: str

    @property
    def form(self) -> Format[Any, Any]:
        return format_of_task(get_task(self.task), retrieval_layer=self.retrieval_layer)


@dataclass(frozen=True, slots=True)
class Predictions:
    """One prediction a row, by language; `forms` are the formats of languages that have something
    of their own fixed beforehand."""

    by_language: Mapping[str, list[Any]]
    forms: Mapping[str, Format[Any, Any]]


def evaluate(
    model: TransferModel, scoring: Scoring, context: TrialContext, *, loss_fell: bool = True
) -> TargetScores:
    """Scores of one task in the languages asked for; every worker gets all of them."""
    return evaluate_rows(model, scoring, context, loss_fell=loss_fell)[0]


def evaluate_rows(
    model: TransferModel, scoring: Scoring, context: TrialContext, *, loss_fell: bool
) -> tuple[TargetScores, Mapping[str, Outcomes]]:
    """Scores of one task, and what every row of every language got."""
    predicted = predictions_of(model, scoring, context)
    judged = judge(predicted.by_language, scoring, context, forms=predicted.forms)
    scores = _scores_of(judged, predicted, scoring, context, loss_fell=loss_fell)
    return scores, {language: found.outcomes for language, found in judged.items()}


def predictions_of(model: TransferModel, scoring: Scoring, context: TrialContext) -> Predictions:
    """What the model says of every row, ready to be scored."""
    return Predictions(predict(model, scoring, context), _fixed(model, scoring, context))


def scores_of(
    predicted: Predictions, scoring: Scoring, context: TrialContext, *, loss_fell: bool
) -> TargetScores:
    """Scores of what was predicted, with their protocol and mark."""
    judged = judge(predicted.by_language, scoring, context, forms=predicted.forms)
    return _scores_of(judged, predicted, scoring, context, loss_fell=loss_fell)


def _scores_of(
    judged: Mapping[str, Judgement],
    predicted: Predictions,
    scoring: Scoring,
    context: TrialContext,
    *,
    loss_fell: bool,
) -> TargetScores:
    task, predictions = get_task(scoring.task), predicted.by_language
    features = {code: _features(scoring, code, context) for code in scoring.languages}
    fertility = {code: f.fertility for code, f in features.items() if f.fertility is not None}
    num_rows = {language: len(predicted) for language, predicted in predictions.items()}
    scores = TargetScores(
        task=task.name,
        main=task.metric,
        source_language=task.source_language,
        chance=chance_of(task, num_rows),
        languages={language: dict(found.metrics) for language, found in judged.items()},
        num_rows=num_rows,
        num_truncated={code: found.num_truncated for code, found in features.items()},
        fertility=fertility,
        protocol=protocol_of(scoring, num_layers=context.base.num_layers, rows=context.data.rows),
    )
    source = task.source_language
    said = predictions.get(source, [])
    rows = _examples(scoring, source, context) if said and task.kind in LABELLED else ()
    return replace(scores, mark=mark_of(task, scores, said, rows, loss_fell=loss_fell))


def score(
    predictions: Mapping[str, Sequence[Any]], scoring: Scoring, context: TrialContext
) -> dict[str, dict[str, float]]:
    """language -> metric -> value of what was predicted."""
    judged = judge(predictions, scoring, context, forms={})
    return {language: dict(found.metrics) for language, found in judged.items()}


def judge(
    predictions: Mapping[str, Sequence[Any]],
    scoring: Scoring,
    context: TrialContext,
    *,
    forms: Mapping[str, Format[Any, Any]],
) -> dict[str, Judgement]:
    """language -> metrics and outcomes of what was predicted; `forms` are the formats of languages
    that have something of their own fixed beforehand."""
    task = get_task(scoring.task)
    return {
        language: forms.get(language, scoring.form).judge(
            predicted, _examples(scoring, language, context), task, language
        )
        for language, predicted in predictions.items()
    }


def _fixed(
    model: TransferModel, scoring: Scoring, context: TrialContext
) -> Mapping[str, Format[Any, Any]]:
    """Mined pairs count from a threshold on: where other rows are scored than those it is fixed
    on, the validation rows, these are mined first."""
    form = scoring.form
    if not isinstance(form, MiningFormat) or scoring.split == "validation":
        return {}
    dev = replace(scoring, split="validation")
    mined = predict(model, dev, context)
    return {
        code: form.with_threshold_of(found, _examples(dev, code, context))
        for code, found in mined.items()
    }


def predict(model: TransferModel, scoring: Scoring, context: TrialContext) -> dict[str, list[Any]]:
    """One prediction a row for every language: one pass, all languages sorted together by length.

    Workers take the batches in turn and exchange what they predicted. Where a format keeps
    vectors of all layers, which are large, it is one pass a language.
    """
    passes = [scoring.languages] if scoring.languages else []
    if scoring.form.reads_all_layers:
        passes = [(language,) for language in scoring.languages]
    predictions: dict[str, list[Any]] = {}
    for languages in passes:
        predictions.update(_predict(model, replace(scoring, languages=languages), context))
    return predictions


def _predict(model: TransferModel, scoring: Scoring, context: TrialContext) -> dict[str, list[Any]]:
    """All the languages of `scoring` in one pass."""
    task = get_task(scoring.task)
    by_language = {code: _features(scoring, code, context) for code in scoring.languages}
    outputs = _outputs(model, scoring, join(list(by_language.values())), context)
    predictions = {}
    start = 0
    for language, features in by_language.items():
        part = outputs[start : start + len(features)]
        start += len(features)
        examples = _examples(scoring, language, context)
        predictions[language] = scoring.form.decode(part, features, examples, task)
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
    """What the model says of every sequence, in order."""
    task, form, workers = get_task(scoring.task), scoring.form, context.workers
    head = model.heads[task.training_task] if task.trains else None
    batches = by_length(
        features.input_ids.lengths,
        units_of(features, task.kind),
        max_tokens=context.settings.evaluation.max_batch_tokens or reading_tokens(workers.device),
    )
    pad_id = context.base.tokenizer.pad_token_id
    found: dict[int, npt.NDArray[np.float32]] = {}
    model.eval()
    for sequences in batches[workers.rank :: workers.size]:
        batch = to_device(collate(features, sequences, pad_id=pad_id), workers.device)
        with workers.autocast():
            hidden = model(batch, all_layers=form.reads_all_layers)
        if not form.reads_all_layers:  # such a format has no head, and is spared a copy of them all
            hidden = tuple(layer.float() for layer in hidden)
        found.update(zip(sequences, form.predict(head, hidden, batch), strict=True))
    for part in workers.gather(found):
        found.update(part)
    return [found[sequence] for sequence in range(len(features))]


def protocol_of(
    scoring: Scoring,
    *,
    num_layers: int,
    rows: Rows = Rows(),  # noqa: B008, it is frozen
) -> ScoringProtocol:
    """What has to agree before a score of this is put beside another."""
    task, form = get_task(scoring.task), scoring.form
    layer = form.layer_of(num_layers) if isinstance(form, SentenceFormat) else None
    place = (task.name, scoring.languages, scoring.split)
    data = [[code, rows.fingerprint(task.name, code, scoring.split)] for code in scoring.languages]
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
        cut=rows.describe_cut(*place),
        revision=rows.commits(*place),
        scoring_version=form.scoring_version(task),
    )


def chance_of(task: Task, num_rows: Mapping[str, int]) -> float:
    """What guessing gets of the main score, as a mean over languages of these sizes. In retrieval
    each row is one candidate: the fewer are scored, the easier it is to hit."""
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
    said: Sequence[Any],
    rows: Sequence[Example],
    *,
    loss_fell: bool,
) -> Mark:
    """Collapsed: one label is said whatever the gold one is (`metrics.collapsed_to`), or a loss
    that did not fall. No signal: otherwise within two standard errors of chance in the source
    language, or of what saying its commonest label everywhere gets there.

    Args:
        said: one prediction a source row; nothing where that language is not scored.
        rows: these rows; nothing for kinds without labels.
    """
    if task.trains and not loss_fell:
        return Mark.COLLAPSED
    chance = scores.chance
    if rows:
        golds = gold_labels(task, rows)
        if collapsed_to(_flat(said), _flat(golds)) is not None:
            return Mark.COLLAPSED
        chance = max(chance, _guessing(task, rows, golds))
    score = scores.zero_shot_mean if scores.source is None else scores.source
    num_rows = scores.num_rows.get(task.source_language, sum(scores.num_rows.values()))
    error = math.sqrt(chance * (1 - chance) / num_rows)
    return Mark.NO_SIGNAL if score <= chance + 2 * error else Mark.NONE


def gold_labels(task: Task, rows: Sequence[Any]) -> list[Any]:
    """What a prediction of each row would be if it were right, of the kinds in LABELLED."""
    return [row.tags if task.kind is TaskKind.TAGGING else row.label for row in rows]


def _guessing(task: Task, rows: Sequence[Example], golds: Sequence[Any]) -> float:
    """What the commonest gold label gets of the main score if it is said everywhere: more than
    chance where labels are not even (60 % of PAWS-X, a sixth of all words are nouns)."""
    commonest = Counter(_flat(golds)).most_common(1)[0][0]
    is_tagged = task.kind is TaskKind.TAGGING
    said = [(commonest,) * len(gold) if is_tagged else commonest for gold in golds]
    judged = format_of_task(task).judge(said, rows, task, task.source_language)
    return float(judged.metrics[task.metric])


def _flat(labels: Sequence[Any]) -> list[Any]:
    """One label a word where a row has several."""
    return [one for row in labels for one in (row if isinstance(row, tuple) else (row,))]


def join(parts: Sequence[Features]) -> Features:
    """Sequences of all languages one after the other; rows are numbered on."""
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
