"""What each row got: as few bytes as it takes, and the score of all rows again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from tests.scored import PROTOCOL
from trainables.scoring import outcomes
from trainables.scoring.outcomes import ByLanguage

REL = replace(PROTOCOL, task="rel", split="test")


def test_bytes_of_a_row() -> None:
    assert outcomes.of_values([True, False, True]).nbytes == 3
    assert outcomes.of_values([1.0, 0.0]).dtype == np.uint8
    assert outcomes.of_values([1.0, 1 / 3]).dtype == np.float64
    assert outcomes.of_counts([(1, 2, 3), (0, 0, 255)]).dtype == np.uint8
    assert outcomes.of_counts([(1, 2, 300)]).dtype == np.uint16
    assert outcomes.of_counts([]).shape == (0, 3)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_mean_is_that_of_the_values(values: list[float]) -> None:
    assert outcomes.score_of(outcomes.of_values(values)) == sum(values) / len(values)


def test_micro_f1_is_that_of_the_sums() -> None:
    assert outcomes.score_of(outcomes.of_counts([(1, 2, 1), (0, 0, 3)])) == 2 * 1 / (2 + 4)
    assert outcomes.score_of(outcomes.of_counts([(0, 0, 0)])) == 0
    # sums that do not fit the type of the rows
    assert outcomes.score_of(outcomes.of_counts([(200, 200, 200)] * 9)) == 1
    with pytest.raises(ValueError, match="no rows"):
        outcomes.score_of(outcomes.of_values([]))


def test_a_file_comes_back(tmp_path: Path) -> None:
    path = outcomes.file_of(tmp_path, "key", REL)
    assert path.parent == tmp_path / "outcomes" / "key"
    rows = {"de": outcomes.of_values([1, 0.25]), "tr": outcomes.of_counts([(1, 2, 3)])}
    outcomes.write(path, ByLanguage(rows))
    back = outcomes.read(path)
    assert set(back) == {"de", "tr"}
    for language, array in rows.items():
        np.testing.assert_array_equal(back[language], array)
        assert back[language].dtype == array.dtype
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_groups_come_back_and_cost_nothing_where_there_are_none(tmp_path: Path) -> None:
    path, bare = (outcomes.file_of(tmp_path, key, REL) for key in ("key", "bare"))
    rows = {"de": outcomes.of_values([1, 0, 1]), "tr": outcomes.of_values([1])}
    outcomes.write(bare, ByLanguage(rows))
    assert bare.read_bytes() == safetensors.numpy.save(rows), "as before there were groups"
    assert outcomes.read(bare).groups == {}
    outcomes.write(path, ByLanguage(rows, {"de": np.array([0, 1, 0], np.uint8)}))
    back = outcomes.read(path)
    assert dict(back) == {"de": back["de"], "tr": back["tr"]}
    assert {code: groups.tolist() for code, groups in back.groups.items()} == {"de": [0, 1, 0]}


@pytest.mark.parametrize(("language", "num"), [("de", 2), ("ru", 3)])
def test_groups_of_other_rows_are_refused(tmp_path: Path, language: str, num: int) -> None:
    rows, groups = {"de": outcomes.of_values([1, 0, 1])}, {language: np.zeros(num, np.uint8)}
    with pytest.raises(ValueError, match="do not fit its rows"):
        ByLanguage(rows, groups)
    path = tmp_path / "rel.safetensors"
    path.write_bytes(safetensors.numpy.save({**rows, f"{language}/groups": groups[language]}))
    with pytest.raises(Refusal, match=r"outcomes of rows in .* cannot be read"):
        outcomes.read(path)


def test_what_stands_is_left_alone_and_what_differs_is_replaced(tmp_path: Path) -> None:
    path = outcomes.file_of(tmp_path, "key", REL)
    outcomes.write(path, ByLanguage({"de": outcomes.of_values([1, 0])}))
    before = path.stat().st_ino
    outcomes.write(path, ByLanguage({"de": outcomes.of_values([1, 0])}))
    assert path.stat().st_ino == before
    outcomes.write(path, ByLanguage({"de": outcomes.of_values([0, 0])}))
    assert outcomes.read(path)["de"].tolist() == [0, 0]


def test_another_protocol_is_another_file(tmp_path: Path) -> None:
    def name(**fields: str) -> str:
        return outcomes.file_of(tmp_path, "key", replace(REL, **fields)).name

    assert name(revision="elsewhere") == name()
    assert len({name(), name(data="other"), name(split="validation"), name(task="coh")}) == 4


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rel.safetensors"
    path.write_bytes(b"cut")
    for damaged in (path, tmp_path / "gone.safetensors"):
        with pytest.raises(Refusal, match=r"outcomes of rows in .* cannot be read"):
            outcomes.read(damaged)
