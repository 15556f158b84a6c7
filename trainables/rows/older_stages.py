"""Sentences of older stages of a language among the hub's rows of udpos: Ancient Greek and others.

The hub's loading script took every treebank of UD 2.5 with a language's name in its own, one after
the other by name: `UD_Ancient_Greek-PROIEL` and `-Perseus`, then `UD_Greek-GDT` for Greek
(datasets/xtreme/xtreme.py in huggingface/datasets: `sorted(glob("*_Greek*"))`). Rows do not say
which treebank they are from; their place in the whole split does. XTREME's own files have only
modern treebanks, since its script asks for the language code in the file's name.

The numbers of rows are those of the hub's dataset card and of the treebanks in UD 2.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from spaces.refusal import Refusal
from spaces.tasks.origin import Layout
from spaces.tasks.task import Task

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Rows [first, past) of the `total` rows of a split are of the older stage."""

    first: int
    past: int
    total: int

    @property
    def count(self) -> int:
        return self.past - self.first


@dataclass(frozen=True, slots=True)
class OlderStage:
    """The name of an older stage, and its place in each split of the hub; a split whose place is
    not known is missing."""

    name: str
    places: Mapping[str, Place]


OLDER_STAGES: Mapping[str, OlderStage] = MappingProxyType(
    {
        "el": OlderStage(
            "Ancient Greek",
            {
                "train": Place(0, 26_490, 28_152),
                "validation": Place(0, 2_156, 2_559),
                "test": Place(0, 2_353, 2_809),
            },
        ),
        "fr": OlderStage(
            "Old French",
            {
                "train": Place(33_399, 47_308, 47_308),
                "validation": Place(4_137, 5_979, 5_979),
                "test": Place(7_538, 9_465, 9_465),
            },
        ),
        "ru": OlderStage(
            "Old Russian",
            {"validation": Place(0, 1_852, 9_960), "test": Place(0, 2_363, 11_336)},
        ),
        "zh": OlderStage(
            "Classical Chinese",
            {
                "train": Place(7_994, 18_998, 18_998),
                "validation": Place(1_000, 3_038, 3_038),
                "test": Place(3_455, 5_528, 5_528),
            },
        ),
    }
)


def stage_of(task: Task, language: str) -> OlderStage | None:
    """The older stage among the rows of a task in a language; None where there is none."""
    origin = task.origin_of(language)
    is_hubs = origin.layout is Layout.HUB and origin.dataset == "google/xtreme"
    return OLDER_STAGES.get(language) if task.name == "udpos" and is_hubs else None


def modern(rows: list[T], task: Task, language: str, split: str) -> list[T]:
    """The rows of a whole split without those of an older stage. Raises Refusal where these cannot
    be told apart."""
    stage = stage_of(task, language)
    if stage is None:
        return rows
    place = stage.places.get(split)
    which = f"which {split} rows of {task.name!r} in {language!r} are {stage.name}"
    if place is None:
        raise Refusal(
            f"evaluation.older_stages is false, but it is not known {which}: rows do not name "
            "their treebank; leave these rows out of the study, or read XTREME's own files "
            "(docs/how-to/own-task.md)"
        )
    if len(rows) != place.total:
        raise Refusal(
            f"evaluation.older_stages is false, but {which} is known only by their place among "
            f"the hub's {place.total:,} rows, and there are {len(rows):,}; read the whole split, "
            "or leave older_stages out"
        )
    return [*rows[: place.first], *rows[place.past :]]
