"""The estimates behind the priors: what the frozen encoder says of a study's sources and targets.

Nothing is trained, and no row is read that a trial would not read: of a target those that the
selection rule may read, without their labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from search.degradation.typology import KINDS, distances
from search.planning.priors import Estimate, Priors, mixture_of, priors_of, ranked_options
from spaces.space import SearchSpace
from spaces.study import StudySettings
from spaces.task_catalog import Source, get_task
from trainables.features.features import Data, RowsToEncode
from trainables.probing.transferability import (
    TextEvidence,
    Vectors,
    cosine,
    layer_of_texts,
    look,
    placed,
)
from trainables.rows.hub import NoRowsError
from trainables.training.workers import best_device

MAX_ROWS = 256  # of a source
MAX_TARGET_ROWS = 512  # of a target, all languages together
MIN_LANGUAGE_ROWS = 8


@dataclass(frozen=True, slots=True)
class TextCenters:
    """Where a target's texts lie: the mean of the mean vectors of its languages."""

    languages: tuple[str, ...]
    vector: Vectors


def explain(
    settings: StudySettings,
    data: Data,
    *,
    on_done: Callable[[int, int], None] = lambda done, of: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Priors | None:
    """The priors of a study; None where it was stopped on the way.

    Args:
        on_done: gets how many of how many sources and targets were looked at.

    Raises:
        Refusal: rows or distances cannot be read.
    """
    space = settings.search_space()
    sources = sources_of(space)
    layer = layer_of_texts(data.base, settings.evaluation.retrieval_layer)
    looked: dict[Source, tuple[TextEvidence, str]] = {}
    texts: dict[str, TextCenters] = {}
    total = len(sources) + len(settings.space.targets)
    with placed(data.base, best_device()):
        for done, (source, max_length) in enumerate(sources.items()):
            if is_stopping():
                return None
            looked[source] = _look_at(source, max_length, data, layer)
            on_done(done + 1, total)
        for done, task in enumerate(settings.space.targets, start=len(sources)):
            if is_stopping():
                return None
            found = _text_of(task, settings, data, layer)
            texts.update({task: found} if found else {})
            on_done(done + 1, total)
    near = _nearness(settings, [source.language for source in sources])
    estimates = {
        source: Estimate(
            logme=found.evidence,
            similarity={task: cosine(found.text, text.vector) for task, text in texts.items()},
            typology=near.get(source.language),
            rows=f"{found.num_rows} {split} rows",
        )
        for source, (found, split) in looked.items()
    }
    return priors_of(space, estimates, [*_notes(settings, estimates, texts, layer)])


def sources_of(space: SearchSpace) -> dict[Source, int]:
    """Every source that an option has, and the longest sequence that it is trained on."""
    found: dict[Source, int] = {}
    for option in ranked_options(space):
        length = space.recipe_of(option).max_length
        for source in mixture_of(space, option).sources:
            found[source] = max(length, found.get(source, 0))
    return found


def _look_at(source: Source, max_length: int, data: Data, layer: int) -> tuple[TextEvidence, str]:
    """The source's validation rows; its training rows where it has no others."""
    for split in ("validation", "train"):
        wanted = RowsToEncode(
            task=source.task,
            language=source.language,
            split=split,
            max_rows=MAX_ROWS,
            max_length=max_length,
        )
        try:
            return look(wanted, data, layer=layer, with_labels=True), split
        except NoRowsError:
            if split == "train":
                raise
    raise AssertionError("one of the splits was read or refused")


def _text_of(task: str, settings: StudySettings, data: Data, layer: int) -> TextCenters | None:
    """None where the selection rule lets no row of the target be read."""
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
    of_language = (replace(wanted, language=code) for code in languages)
    vectors = [look(one, data, layer=layer, with_labels=False).text for one in of_language]
    return TextCenters(languages, np.mean(vectors, axis=0))


def _nearness(settings: StudySettings, languages: Sequence[str]) -> dict[str, float]:
    """Source language -> one minus its mean distance (URIEL's kinds, those that are known) from
    the zero-shot languages, the mean over the targets; nothing where all sources are in one."""
    if len(set(languages)) < 2:
        return {}
    found = {}
    for language in dict.fromkeys(languages):
        by_target = []
        for task in settings.space.targets:
            source = get_task(task).source_language
            codes = [code for code in settings.languages_of(task) if code != source]
            known = distances(language, codes)
            values = [value for kind in KINDS for value in known[kind].values()]
            by_target += [1 - fmean(values)] if values else []
        if by_target:
            found[language] = fmean(by_target)
    return found


def _notes(
    settings: StudySettings,
    estimates: Mapping[Source, Estimate],
    texts: Mapping[str, TextCenters],
    layer: int,
) -> list[str]:
    """What a reader of the estimates should know."""
    notes = [f"texts are compared at layer {layer} of the encoder, labels looked for in its last"]
    silent = [str(source) for source, found in estimates.items() if found.logme is None]
    if silent:
        notes.append(f"LogME is not estimable of {', '.join(silent)}: no labels to tell apart")
    rule = settings.evaluation.selection.value
    unread = [task for task in settings.space.targets if task not in texts]
    if unread:
        notes.append(f"no rows of {', '.join(unread)} that {rule} may read: not compared with")
    if len({source.language for source in estimates}) < 2:
        notes.append("all sources are in one language: typology tells nothing apart")
    if settings.space.mlm is not None:
        notes.append("masking beside an option is not ranked, nor is masking alone")
    return notes
