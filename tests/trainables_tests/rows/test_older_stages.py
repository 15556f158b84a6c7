"""Which rows of udpos are of an older stage of their language."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from tests.by_name import own_rows
from trainables.rows import older_stages
from trainables.rows.older_stages import OLDER_STAGES, OlderStage, Place, modern, stage_of
from trainables.rows.rows import Rows

UDPOS = SHIPPED.get("udpos")
# Sentences of the treebanks of UD 2.5 in the order of their folders' names: older stage, modern.
TREEBANKS = {
    ("el", "train"): ((11_476, 15_014), (1_662,)),
    ("el", "validation"): ((1_137, 1_019), (403,)),
    ("el", "test"): ((1_306, 1_047), (456,)),
    ("zh", "train"): ((11_004,), (3_997, 3_997)),
    ("zh", "validation"): ((2_038,), (500, 500)),
    ("zh", "test"): ((2_073,), (500, 500, 1_004, 451, 1_000)),
    ("fr", "validation"): ((1_842,), (1_235, 1_476, 107, 412, 907)),
    ("fr", "test"): ((1_927,), (2_541, 2_289, 416, 110, 1_000, 456, 726)),
    ("ru", "validation"): ((1_852,), (579, 6_584, 945)),
}


@pytest.mark.parametrize(("language", "split"), TREEBANKS)
def test_places_add_up_to_the_treebanks(language: str, split: str) -> None:
    older, modern_ones = TREEBANKS[language, split]
    place = OLDER_STAGES[language].places[split]
    assert place.count == sum(older)
    assert place.total == sum(older) + sum(modern_ones)


def test_the_train_rows_of_the_card_are_those_of_the_catalogue() -> None:
    for language, stage in OLDER_STAGES.items():
        if "train" in stage.places:
            assert stage.places["train"].total == UDPOS.train_rows[language]
        for place in stage.places.values():
            assert place.first == 0 or place.past == place.total


@pytest.mark.parametrize(("language", "split"), TREEBANKS)
def test_modern_rows_are_left(language: str, split: str) -> None:
    place = OLDER_STAGES[language].places[split]
    left = modern(list(range(place.total)), UDPOS, language, split)
    assert len(left) == place.total - place.count
    assert not set(left) & set(range(place.first, place.past))


def test_rows_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(Refusal, match=r"known only by their place .* 2,809 rows, and there are 3"):
        modern([1, 2, 3], UDPOS, "el", "test")
    with pytest.raises(Refusal, match="not known which train rows of 'udpos' in 'ru' are Old Russ"):
        modern([1, 2, 3], UDPOS, "ru", "train")


def test_other_rows_are_as_they_are() -> None:
    assert modern([1, 2, 3], UDPOS, "de", "test") == [1, 2, 3]
    assert stage_of(SHIPPED.get("panx"), "el") is None
    assert stage_of(UDPOS.with_rows(own_rows("/own", "el")), "el") is None


def test_a_study_reads_modern_rows_alone(
    make_root: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another digest, so that scores do not compare."""
    place = Place(0, 2, 3)
    stage = OlderStage("Ancient Greek", {"test": place})
    monkeypatch.setattr(older_stages, "OLDER_STAGES", {"el": stage})
    made: list[dict[str, Any]] = [
        {"tokens": [word], "pos_tags": ["NOUN"]} for word in ("ἄνδρα", "μῆνιν", "νέα")
    ]
    root = make_root("google/xtreme", "udpos.Greek", {"test": made})
    whole = Rows(str(root))
    rows = replace(whole, older_stages=False)
    assert [row.words for row in rows.examples(SHIPPED.get("udpos"), "el", "test")] == [("νέα",)]
    assert len(whole.examples(SHIPPED.get("udpos"), "el", "test")) == 3
    digests = {one.fingerprint(SHIPPED.get("udpos"), "el", "test") for one in (whole, rows)}
    assert len(digests) == 2
