"""How many trials a cluster or this machine has room for, and what is missing where it has none."""

from collections.abc import Callable
from typing import Any

import pytest

from search.cluster.capacity import ClusterShape, Machine, Node
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]


def shape(*nodes: tuple[int, int], can_grow: bool = False) -> ClusterShape:
    made = (Node(f"10.0.0.{i}", *sizes) for i, sizes in enumerate(nodes))
    return ClusterShape(tuple(made), can_grow)


HEAD, SMALL, LARGE = (0, 0), (8, 1), (16, 4)


@pytest.mark.parametrize(
    ("nodes", "resources", "expected"),
    [
        ([HEAD, (1, 0), (1, 0)], {}, 2),
        ([HEAD, SMALL, LARGE], {"gpus_per_worker": 1}, 5),
        ([HEAD, SMALL, LARGE], {"gpus_per_worker": 1, "cpus_per_worker": 8}, 3),
        ([SMALL, SMALL, SMALL], {"gpus_per_worker": 1, "num_workers": 2}, 1),
        ([LARGE, LARGE], {"gpus_per_worker": 3}, 2),
        ([LARGE, LARGE], {"gpus_per_worker": 1, "max_concurrent_trials": 3}, 3),
        ([LARGE], {"gpus_per_worker": 1, "max_concurrent_trials": 30}, 4),
    ],
)
def test_how_many_trials_fit(
    nodes: Any, resources: dict[str, int], expected: int, settings_of: Settings
) -> None:
    settings = settings_of(resources={"max_concurrent_trials": None, **resources})
    assert shape(*nodes).max_concurrent_trials(settings) == expected


@pytest.mark.parametrize(
    ("nodes", "resources", "message"),
    [
        (
            [LARGE, (4, 2)][1:],
            {"gpus_per_worker": 4},
            "needs 4 GPUs on one node, but the largest node has 2",
        ),
        ([HEAD], {}, "needs 1 CPUs on one node, but the largest node has 0; lower cpus_per_worker"),
        ([], {}, "the largest node has 0"),
        ([(32, 0), (1, 8)], {"cpus_per_worker": 2, "gpus_per_worker": 1}, "no node has both"),
        ([LARGE, SMALL], {"gpus_per_worker": 1, "num_workers": 6}, "2 nodes have room for 5"),
    ],
)
def test_what_is_missing(
    nodes: Any, resources: dict[str, int], message: str, settings_of: Settings
) -> None:
    settings = settings_of(resources=resources)
    with pytest.raises(Refusal) as caught:
        shape(*nodes).max_concurrent_trials(settings)
    assert message in str(caught.value)
    assert "tiny" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_growing_cluster_is_what_the_study_says(settings_of: Settings) -> None:
    gpus = {"gpus_per_worker": 8, "max_concurrent_trials": 5}
    assert shape(HEAD, can_grow=True).max_concurrent_trials(settings_of(resources=gpus)) == 5
    unnamed = settings_of(resources={"max_concurrent_trials": None})
    assert shape((3, 0), can_grow=True).max_concurrent_trials(unnamed) == 3
    with pytest.raises(Refusal, match="set max_concurrent_trials and run with --autoscaling"):
        shape(HEAD, can_grow=True).max_concurrent_trials(unnamed)


@pytest.mark.parametrize(
    ("resources", "cores", "gpus", "expected"),
    [
        ({}, 8, 0, 8),
        ({"cpus_per_worker": 3}, 8, 0, 2),
        ({"num_workers": 2, "cpus_per_worker": 2}, 8, 0, 2),
        ({"max_concurrent_trials": 3}, 8, 0, 3),
        ({"max_concurrent_trials": 30}, 8, 0, 8),
        ({"gpus_per_worker": 1}, 8, 2, 2),
        ({"gpus_per_worker": 1, "num_workers": 2}, 8, 4, 2),
        ({}, 8, 2, 8),
    ],
)
def test_how_many_trials_fit_on_this_machine(
    resources: dict[str, int], cores: int, gpus: int, expected: int, settings_of: Settings
) -> None:
    settings = settings_of(resources={"max_concurrent_trials": None, **resources})
    assert Machine(cores, gpus).max_concurrent_trials(settings) == expected


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"cpus_per_worker": 9}, "1 workers x 9 CPUs = 9, but this machine has 8"),
        ({"num_workers": 3, "cpus_per_worker": 4}, "3 workers x 4 CPUs = 12"),
        ({"gpus_per_worker": 1}, "1 workers x 1 GPUs = 1, but this machine has 0"),
    ],
)
def test_a_trial_that_does_not_fit_on_this_machine(
    resources: dict[str, int], message: str, settings_of: Settings
) -> None:
    with pytest.raises(Refusal, match=r"lower num_workers or .pus_per_worker") as caught:
        Machine(8, 0).max_concurrent_trials(settings_of(resources=resources))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
