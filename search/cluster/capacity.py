"""How many trials of a study fit at once, on this machine or on the nodes of a cluster. Pure.

A worker fits on one node or nowhere; the workers of one trial may lie on several.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spaces.refusal import Refusal
from spaces.sections import ResourcesSection
from spaces.study import StudySettings

KINDS = (("CPU", "cpus_per_worker"), ("GPU", "gpus_per_worker"))


@dataclass(frozen=True, slots=True)
class Node:
    """What one node lends; `name` is its address, for messages."""

    name: str
    num_cpus: int
    num_gpus: int

    def num_workers(self, resources: ResourcesSection) -> int:
        """How many workers of a trial fit beside each other."""
        fitting = [self.num_cpus // resources.cpus_per_worker]
        if resources.gpus_per_worker:
            fitting.append(self.num_gpus // resources.gpus_per_worker)
        return min(fitting)


def num_fitting(nodes: Iterable[Node], resources: ResourcesSection) -> int:
    """How many trials fit beside each other, each with all its workers."""
    return sum(node.num_workers(resources) for node in nodes) // resources.num_workers


@dataclass(frozen=True, slots=True)
class Machine:
    """What trials may take of this machine."""

    num_cores: int
    num_gpus: int

    def max_concurrent_trials(self, settings: StudySettings) -> int:
        """How many trials run beside each other. Raises Refusal if not even one does."""
        resources = settings.resources
        node = Node("this machine", self.num_cores, self.num_gpus)
        fitting = num_fitting([node], resources)
        if not fitting:
            raise Refusal(self._missing(settings.study.name, resources))
        return min(fitting, resources.max_concurrent_trials or fitting)

    def _missing(self, study: str, resources: ResourcesSection) -> str:
        """Why not even one trial fits: on one machine, what lacks is cores or GPUs."""
        lacks_cores = resources.num_workers * resources.cpus_per_worker > self.num_cores
        kind, key = KINDS[0] if lacks_cores else KINDS[1]
        there = self.num_cores if lacks_cores else self.num_gpus
        each = getattr(resources, key)
        return (
            f"a trial of study {study!r} takes {resources.num_workers} workers x {each} {kind}s = "
            f"{resources.num_workers * each}, and this machine has {there}; lower num_workers or "
            f"{key} in [resources]"
        )


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """The nodes that are there now; `can_grow` where an autoscaler adds more on demand, which
    Ray does not tell: the user does."""

    nodes: tuple[Node, ...]
    can_grow: bool = False

    def max_concurrent_trials(self, settings: StudySettings) -> int:
        """How many trials run beside each other. Raises Refusal, saying what is missing, if not
        even one does.

        Where the cluster grows, nodes that will be there are not seen yet: the study's
        `max_concurrent_trials` is what it grows to.
        """
        resources = settings.resources
        wanted = resources.max_concurrent_trials
        if self.can_grow and wanted is not None:
            return wanted
        fitting = num_fitting(self.nodes, resources)
        if not fitting:
            raise Refusal(
                f"{self._missing(settings.study.name, resources)}; where nodes are added "
                "on demand, name max_concurrent_trials and run with --autoscaling"
            )
        return min(fitting, wanted or fitting)

    def _missing(self, study: str, resources: ResourcesSection) -> str:
        """Why not even one trial fits."""
        slots = sum(node.num_workers(resources) for node in self.nodes)
        for kind, key in KINDS:
            needed = getattr(resources, key)
            largest = max((self._amount(node, kind) for node in self.nodes), default=0)
            if needed > largest:
                return (
                    f"a worker of study {study!r} needs {needed} {kind}s on one node, the largest "
                    f"has {largest}; lower {key} in [resources] or add a larger node"
                )
        both = f"{resources.cpus_per_worker} CPUs and {resources.gpus_per_worker} GPUs"
        if not slots:
            return (
                f"a worker of study {study!r} needs {both} on one node, and no node has both; "
                "lower one of them in [resources] or add a node that has"
            )
        return (
            f"a trial of study {study!r} needs {resources.num_workers} workers of {both}, and the "
            f"{len(self.nodes)} nodes have room for {slots}; lower num_workers in [resources] or "
            "add nodes"
        )

    @staticmethod
    def _amount(node: Node, kind: str) -> int:
        return node.num_cpus if kind == "CPU" else node.num_gpus
