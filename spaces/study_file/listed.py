"""Checks that the lists of a study file have no entry twice."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from spaces.intermediates import ALL, NONE
from spaces.refusal import Refusal
from spaces.study_file.sections import (
    EvaluationSection,
    PretrainingSection,
    RateRange,
    SpaceSection,
)
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.source import Source


class ListingSettings(Protocol):
    """The part of a study's settings that has lists."""

    pretraining: PretrainingSection | None
    space: SpaceSection
    evaluation: EvaluationSection

    @property
    def catalogue(self) -> Catalogue: ...


def check_listed_once(settings: ListingSettings) -> None:
    """Check every list in which an entry may stand once. Raises Refusal, which names the key and
    the entry. Points may be repeated: an equal plan gets the result of the first one."""
    for key, entries in _lists(settings):
        _check_once(key, entries)
    _check_options(settings.space.intermediate, settings.catalogue)


def _lists(settings: ListingSettings) -> Iterator[tuple[str, Sequence[Any]]]:
    space, evaluation, pretraining = settings.space, settings.evaluation, settings.pretraining
    yield "space.targets", space.targets
    yield "space.intermediate_learning_rate", _rates(space.intermediate_learning_rate)
    yield "space.target_learning_rate", _rates(space.target_learning_rate)
    yield "space.seeds", space.seeds
    if space.mlm is not None:
        yield "space.mlm.languages", space.mlm.languages
        yield "space.mlm.shares", space.mlm.shares
        yield "space.mlm.learning_rate", _rates(space.mlm.learning_rate)
    if space.lora is not None:
        yield "space.lora.ranks", space.lora.ranks
        yield "space.lora.phases", space.lora.phases
    yield "evaluation.objective", evaluation.objective
    yield "evaluation.objectives", [name.value for name in evaluation.objectives]
    yield "evaluation.languages", evaluation.languages
    yield "evaluation.pivot_languages", evaluation.pivot_languages
    if pretraining is not None:
        yield "pretraining.languages", pretraining.languages


def _check_once(key: str, entries: Iterable[Any]) -> None:
    repeated = [entry for entry, count in Counter(entries).items() if count > 1]
    if repeated:
        raise Refusal(f"{key} lists {repeated[0]!r} more than once; list every entry once")


def _check_options(options: Sequence[str], catalogue: Catalogue) -> None:
    """Check that every option names its sources once and in full, and that no two options have the
    same sources: `fact+rel` and `rel+fact@en`, or `fact` and `all` where `fact` is all there is."""
    _check_once("space.intermediate", options)
    seen: dict[frozenset[Source], str] = {}
    for option in options:
        if option in (NONE, ALL):
            continue
        sources = [_source(part, option, catalogue) for part in option.split("+")]
        for source, count in Counter(sources).items():
            if count > 1:
                raise Refusal(
                    f"space.intermediate has {option!r}, which names {str(source)!r} more than "
                    "once; name every source once"
                )
        other = seen.setdefault(frozenset(sources), option)
        if other != option:
            raise Refusal(
                f"space.intermediate has {other!r} and {option!r}, which are the same sources; "
                "leave one of them out"
            )
    if ALL in options and len(seen) == 1 and len(only := next(iter(seen))) == 1:
        raise Refusal(
            f"space.intermediate has 'all' and one source, {str(*only)!r}, so that 'all' is that "
            "source; leave 'all' out, or name another source"
        )


def _source(part: str, option: str, catalogue: Catalogue) -> Source:
    """The source that a part of an option names. Raises Refusal where the part is empty, or has an
    @ without a language."""
    if part in (NONE, ALL):
        raise Refusal(
            f"space.intermediate has {option!r}, but {part!r} is an option by itself; join "
            "sources only"
        )
    task, at, language = part.partition("@")
    if not task:
        raise Refusal(
            f"space.intermediate has {option!r}, which has no task where one is expected; "
            "expected TASK, TASK@LANGUAGE, or several of them joined by +"
        )
    source = catalogue.source(part)
    if at and not language:
        raise Refusal(
            f"space.intermediate has {option!r}, which has no language after @; write {task!r} or "
            f"'{task}@{source.language}'"
        )
    return source


def _rates(rates: tuple[float, ...] | RateRange | None) -> tuple[float, ...]:
    return rates if isinstance(rates, tuple) else ()
