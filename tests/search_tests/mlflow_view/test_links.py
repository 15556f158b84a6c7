"""The link to a study's trials, for servers of every version."""

from urllib.parse import parse_qs

import pytest

from search.mlflow_view.links import TrialsPage


def page(version: tuple[int, int] = (3, 17), key: str | None = "transfer-search.s") -> TrialsPage:
    return TrialsPage(study="s", experiment_id="7", version=version, key=key)


def query(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(link.partition("?")[2]).items()}


def test_the_link_names_the_saved_view_and_nothing_that_would_undo_it() -> None:
    link = page().link("http://h:5000")
    assert link.startswith("http://h:5000/#/experiments/7/runs?")
    assert query(link) == {
        "workflowType": "machine_learning",
        "viewStateShareKey": "transfer-search.s",
    }


@pytest.mark.parametrize("old", [page((2, 14)), page((0, 0)), page(key=None)])
def test_an_older_server_gets_filter_and_order(old: TrialsPage) -> None:
    found = query(old.link("http://h"))
    assert "viewStateShareKey" not in found
    assert found["searchFilter"] == (
        "tags.`transfer_search.study` = 's' AND tags.`transfer_search.role` = 'trial'"
    )
    assert (found["orderByKey"], found["orderByAsc"]) == ("metrics.`zero_shot_mean`", "false")


def test_an_old_ui_has_one_page_for_an_experiment() -> None:
    assert page((2, 22)).fragment().startswith("#/experiments/7?")
    assert page((3, 0)).fragment().startswith("#/experiments/7/runs?")


@pytest.mark.parametrize(
    ("server", "start"),
    [
        ("https://h/a/mlflow", "https://h/a/mlflow/#/"),
        ("https://h/a/mlflow/", "https://h/a/mlflow/#/"),
        ("https://me:secret@h:1/p", "https://h:1/p/#/"),
        ("https://token@h", "https://h/#/"),
    ],
)
def test_a_prefix_stays_and_a_password_does_not(server: str, start: str) -> None:
    assert page().link(server).startswith(start)
