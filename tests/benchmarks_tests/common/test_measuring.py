"""Ratios, figures and the page of results."""

import pytest

from benchmarks.common.measuring import (
    HEADING,
    Line,
    figures,
    in_turns,
    publish,
    spread,
    table,
    with_section,
)


def test_a_ratio_above_one_says_that_ours_is_better() -> None:
    seconds = Line(name="a", ours=[2.0, 4.0], theirs=[6.0, 8.0], unit="s")
    rate = Line(name="b", ours=[30.0], theirs=[10.0], unit="examples/s", is_rate=True)
    assert seconds.ratios == [3.0, 2.0]
    assert rate.ratios == [3.0]


def test_sides_with_unequal_numbers_of_turns_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = Line(name="a", ours=[1.0], theirs=[1.0, 2.0], unit="s").ratios


@pytest.mark.parametrize(
    ("value", "said"), [(0.01234, "0.0123"), (1.239, "1.24"), (12345.6, "12346"), (0.0, "0")]
)
def test_three_figures(value: float, said: str) -> None:
    assert figures(value) == said


def test_a_spread_is_median_smallest_largest() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2 (1-3)"
    assert spread([3.0]) == "3"


def test_turns_go_forth_and_back() -> None:
    seen: list[str] = []

    def side(name: str) -> tuple[float, int]:
        seen.append(name)
        return float(len(seen)), len(seen)

    found = in_turns({"a": lambda: side("a"), "b": lambda: side("b")}, num_turns=2)
    assert seen == ["a", "b", "b", "a"]
    assert found["a"] == ([1.0, 4.0], [1, 4])


def test_a_section_is_replaced_where_it_stands() -> None:
    page = with_section(with_section("# Measured\n", "one", "first\n"), "two", "second")
    again = with_section(page, "one", "newer")
    assert again == page.replace("first", "newer")
    assert with_section(again, "one", "newer") == again


def test_the_page_holds_the_table_the_facts_and_the_machine(tmp_path, capsys) -> None:
    lines = [Line(name="a", ours=[2.0], theirs=[6.0], unit="s", target=2.0, equal="all scores")]
    results = tmp_path / "RESULTS.md"
    publish("Some", lines, facts={"rows": "ten"}, results=results)
    page = results.read_text()
    assert page.startswith(HEADING)
    assert table(lines) in page
    assert "- rows: ten" in page
    assert "torch" in page.splitlines()[-2]
    assert '"ratio": 3.0' in capsys.readouterr().out
