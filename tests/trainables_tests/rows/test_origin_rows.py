from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Layout, Origin, Splits
from trainables.rows.bundle import OwnPart, Part
from trainables.rows.hub import NoRowsError
from trainables.rows.origin_rows import licence, parts_of_origin, read_origin


def test_joined_splits_are_read_one_after_the_other(make_root) -> None:
    splits = {name: [{"text": f"{name} {i}"} for i in range(2)] for name in ("dev_a", "dev_b")}
    root = make_root("owner/name", "plain", splits)
    origin = Origin(
        dataset="owner/name",
        languages=("en",),
        config="plain",
        revision="r",
        splits=Splits(validation="dev_a+dev_b"),
    )
    raw = read_origin(origin, "en", origin.names_of("validation"), str(root))
    assert raw.rows == [
        (f"{name}-{i:06d}", {"text": f"{name} {i}"}) for name in ("dev_a", "dev_b") for i in (0, 1)
    ]
    assert raw.commit == ""
    assert parts_of_origin(origin, "en", origin.names_of("validation")) == (
        Part("owner/name", "plain", "dev_a", "r"),
        Part("owner/name", "plain", "dev_b", "r"),
    )


def test_folders_of_ones_own_are_parts_that_are_copied(tmp_path: Path) -> None:
    mine = Origin(dataset="mine", languages=("sw",), config="{code}", layout=Layout.ROWS)
    assert parts_of_origin(mine, "sw", ("train",)) == (OwnPart("mine", "sw", "train", Layout.ROWS),)
    assert licence(mine, "sw", str(tmp_path), "") is None
    with pytest.raises(Refusal, match=r"no folder '.*mine': expected your own rows there"):
        read_origin(mine, "sw", ("train",), str(tmp_path))


def test_a_real_config_of_a_language(mirror: Path) -> None:
    origin = SHIPPED.get("mlqa").origin_of("hi")
    raw = read_origin(origin, "hi", ("validation",), str(mirror))
    assert raw.rows[0][0] == "validation-000000"
    assert raw.rows[0][1].keys() >= {"id", "context", "question", "answers"}
    assert licence(origin, "hi", str(mirror), "") == "CC BY-SA 3.0"


def made(**fields: Any) -> Origin:
    return Origin(dataset="owner/name", languages=("en", "de"), **fields)


SPLITS = {
    "train": [
        {
            "text": f"Row {number}",
            "kind": ("a/b", "c")[number % 2],
            "lang": ("en", "de")[number // 2],
        }
        for number in range(4)
    ]
}


def test_rows_of_the_hub_with_our_columns_and_labels(make_root) -> None:
    root = str(make_root("owner/name", "plain", SPLITS))
    origin = made(
        config="plain",
        columns=(("sentence1", "text"), ("label", "kind")),
        label_names=(("a/b", "a"),),
        where=(("lang", ("{code}",)),),
    )
    raw = read_origin(origin, "de", ("train",), root)
    assert raw.rows == [
        ("train-000002", {"sentence1": "Row 2", "label": "a", "lang": "de"}),
        ("train-000003", {"sentence1": "Row 3", "label": "c", "lang": "de"}),
    ]


def test_rows_that_no_filter_keeps(make_root) -> None:
    root = str(make_root("owner/name", "plain", SPLITS))
    by_language = made(config="plain", where=(("lang", ("{name}",)),))
    with pytest.raises(NoRowsError, match=r"none of the 4 rows of 'owner/name' \(de, train\) has"):
        read_origin(by_language, "de", ("train",), root)
    wrong = made(config="plain", where=(("kind", ("b", "x")), ("lang", ("de",))))
    with pytest.raises(Refusal, match=r"has kind = \['b', 'x'\] and lang = \['de'\]") as refused:
        read_origin(wrong, "de", ("train",), root)
    assert not isinstance(refused.value, NoRowsError)
    unknown = made(config="plain", columns=(("sentence1", "txt"),))
    with pytest.raises(Refusal, match=r"column of 'owner/name' \(de, train\) 'txt'. Did you mean"):
        read_origin(unknown, "de", ("train",), root)
