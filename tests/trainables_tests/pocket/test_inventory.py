import random

from hypothesis import given
from hypothesis import strategies as st

from trainables.pocket.inventory import (
    CLOSED,
    FACTS,
    KINDS,
    MONTHS,
    WEEKDAYS,
    Item,
    draw,
    draw_of_kinds,
    run_of,
)


def test_sizes() -> None:
    sizes = {kind: len(items) for kind, items in CLOSED.items()}
    assert sizes == {"weekday": 7, "month": 12, "territory": 26, "language": 25, "currency": 21}
    assert len(set(FACTS)) == 26


@given(st.integers(), st.integers(1, 8))
def test_draws_are_of_different_kinds_and_repeat_by_seed(seed: int, num_items: int) -> None:
    items = draw_of_kinds(num_items, random.Random(seed))
    assert len({item.kind for item in items}) == num_items
    assert items == draw_of_kinds(num_items, random.Random(seed))


@given(st.sampled_from(KINDS), st.integers())
def test_closed_kinds_draw_from_their_list(kind: str, seed: int) -> None:
    item = draw(kind, random.Random(seed))  # type: ignore[arg-type]
    assert item.kind == kind
    assert kind not in CLOSED or item in CLOSED[item.kind]


def test_runs_go_round() -> None:
    assert run_of(MONTHS, 11, 2) == (Item("month", "12"), Item("month", "1"))
    assert run_of(WEEKDAYS, 6, 3)[-1] == Item("weekday", "1")
