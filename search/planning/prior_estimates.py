"""Computes the estimates behind the priors with the frozen encoder.

Nothing is trained. Only rows that a trial would read are read: of a target, the rows that the
selection rule may read, without their labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from search.degradation.typology import KINDS, distances
from search.planning.priors import Estimate, Priors, mixture_of, priors_of, ranked_options
from spaces.space import SearchSpace
from spaces.study_file.study import StudySettings
from spaces.tasks.source import Source
from spaces.tasks.task import Task
from trainables.features.features import Data, RowsToEncode
from trainables.probing.transferability import (
    TextEvidence,
    Vectors,
    cosine,
    layer_of_texts,
    on_device,
    probe_rows,
)
from trainables.rows.hub import NoRowsError
from trainables.training.workers import best_device

MAX_ROWS = 256  # rows of a source
MAX_TARGET_ROWS = 512  # rows of a target, over all its languages
MIN_LANGUAGE_ROWS = 8  # rows of a language of a target, even if MAX_TARGET_ROWS is exceeded


@dataclass(frozen=True, slots=True)
class TextCenters:
    """The mean vector of a target's texts: the mean of the mean vectors of its languages."""

    languages: tuple[str, ...]
    vector: Vectors


def explain(
    settings: StudySettings,
    data: Data,
    *,
    on_done: Callable[[int, int], None] = lambda done, total: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Priors | None:
    """Compute the priors of a study; return None if `is_stopping` became true before the end.

    Args:
        settings: settings of the study.
        data: rows and encoder of the study.
        on_done: called with the number of sources and targets read so far, and the total.
        is_stopping: asked before each source and target.

    Raises:
        Refusal: if rows or distances cannot be read.
    """
    space = settings.search_space()
    sources = sources_of(space)
    layer = layer_of_texts(data.base, settings.evaluation.retrieval_layer)
    evidence: dict[Source, tuple[TextEvidence, str]] = {}
    texts: dict[str, TextCenters] = {}
    total = len(sources) + len(settings.space.targets)
    with on_device(data.base, best_device()):
        for done, (source, max_length) in enumerate(sources.items()):
            if is_stopping():
                return None
            evidence[source] = _look_at(source, max_length, data, layer)
            on_done(done + 1, total)
        for done, task in enumerate(settings.targets, start=len(sources)):
            if is_stopping():
                return None
            centers = _text_of(task, settings, data, layer)
            texts.update({task.name: centers} if centers else {})
            on_done(done + 1, total)
    nearness = _nearness(settings, [source.language for source in sources])
    estimates = {
        source: Estimate(
            logme=seen.evidence,
            similarity={task: cosine(seen.text, text.vector) for task, text in texts.items()},
            typology=nearness.get(source.language),
            rows=f"{seen.num_rows} {split} rows",
        )
        for source, (seen, split) in evidence.items()
    }
    return priors_of(space, estimates, [*_notes(settings, estimates, texts, layer)])


def sources_of(space: SearchSpace) -> dict[Source, int]:
    """Return each source of the options -> the longest sequence in tokens that it is trained on."""
    max_lengths: dict[Source, int] = {}
    for option in ranked_options(space):
        length = space.recipe_of(option).max_length
        for source in mixture_of(space, option).sources:
            max_lengths[source] = max(length, max_lengths.get(source, 0))
    return max_lengths


def _look_at(source: Source, max_length: int, data: Data, layer: int) -> tuple[TextEvidence, str]:
    """Return the evidence from the source's validation rows, or from its training rows if it has no
    validation rows; and the name of the split."""
    for split in ("validation", "train"):
        wanted = RowsToEncode(
            task=source.task,
            language=source.language,
            split=split,
            max_rows=MAX_ROWS,
            max_length=max_length,
        )
        try:
            return probe_rows(wanted, data, layer=layer, with_labels=True), split
        except NoRowsError:
            if split == "train":
                raise
    raise AssertionError("one of the splits was read or refused")


def _text_of(task: Task, settings: StudySettings, data: Data, layer: int) -> TextCenters | None:
    """Return the mean vector of a target's texts; None if the selection rule may read no row."""
    languages = data.rows.languages(task, settings.selecting_languages(task), "validation")
    if not languages:
        return None
    wanted = RowsToEncode(
        task=task,
        language=languages[0],
        split="validation",
        max_rows=max(MIN_LANGUAGE_ROWS, MAX_TARGET_ROWS // len(languages)),
        max_length=settings.max_length_of(task),
    )
    by_language = (replace(wanted, language=code) for code in languages)
    vectors = [probe_rows(rows, data, layer=layer, with_labels=False).text for rows in by_language]
    return TextCenters(languages, np.mean(vectors, axis=0))


def _nearness(settings: StudySettings, languages: Sequence[str]) -> dict[str, float]:
    """Return source language -> one minus its mean distance from the zero-shot languages.

    The mean is over URIEL's kinds of distances that are known, then over the targets. The result is
    empty if all sources are in one language.
    """
    if len(set(languages)) < 2:
        return {}
    nearness = {}
    for language in dict.fromkeys(languages):
        by_target = []
        for task in settings.targets:
            source = task.source_language
            codes = [code for code in settings.languages_of(task) if code != source]
            by_kind = distances(language, codes)
            values = [value for kind in KINDS for value in by_kind[kind].values()]
            by_target += [1 - fmean(values)] if values else []
        if by_target:
            nearness[language] = fmean(by_target)
    return nearness


def _notes(
    settings: StudySettings,
    estimates: Mapping[Source, Estimate],
    texts: Mapping[str, TextCenters],
    layer: int,
) -> list[str]:
    """Return sentences that a reader of the estimates should know."""
    notes = [
        f"texts are compared at layer {layer} of the encoder; LogME uses the encoder's last layer"
    ]
    without_logme = [str(s) for s, estimate in estimates.items() if estimate.logme is None]
    if without_logme:
        notes.append(
            f"LogME cannot be estimated for {', '.join(without_logme)}: there are no labels, or "
            "only one label"
        )
    rule = settings.evaluation.selection.value
    unread = [task for task in settings.space.targets if task not in texts]
    if unread:
        notes.append(
            f"{', '.join(unread)} is left out of the comparison, since {rule} may read none of its "
            "rows"
            if len(unread) == 1
            else f"{', '.join(unread)} are left out of the comparison, since {rule} may read none "
            "of their rows"
        )
    if len({source.language for source in estimates}) < 2:
        notes.append("all sources are in one language, so typology does not distinguish them")
    if settings.space.mlm is not None:
        notes.append("masking is not ranked, neither alone nor mixed into an option")
    return notes
