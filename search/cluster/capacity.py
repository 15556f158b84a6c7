"""Computes how many trials of a study fit at once, on this machine or on a cluster. Pure.

A worker must fit on one node; the workers of one trial may run on several nodes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spaces.refusal import Refusal
from spaces.study_file.sections import ResourcesSection
from spaces.study_file.study import StudySettings

KINDS = (("CPU", "cpus_per_worker"), ("GPU", "gpus_per_worker"))


@dataclass(frozen=True, slots=True)
class Node:
    """The CPUs and GPUs that one node offers; `name` is its address, for messages."""

    name: str
    num_cpus: int
    num_gpus: int

    def num_workers(self, resources: ResourcesSection) -> int:
        """Return how many workers fit on the node at the same time."""
        fitting = [self.num_cpus // resources.cpus_per_worker]
        if resources.gpus_per_worker:
            fitting.append(self.num_gpus // resources.gpus_per_worker)
        return min(fitting)


def num_fitting(nodes: Iterable[Node], resources: ResourcesSection) -> int:
    """Return how many trials fit on the nodes at the same time, each with all its workers."""
    return sum(node.num_workers(resources) for node in nodes) // resources.num_workers


@dataclass(frozen=True, slots=True)
class Machine:
    """The cores and GPUs of this machine that trials may use."""

    num_cores: int
    num_gpus: int

    def max_concurrent_trials(self, settings: StudySettings) -> int:
        """Return how many trials run at the same time. Raises Refusal if not even one fits."""
        resources = settings.resources
        node = Node("this machine", self.num_cores, self.num_gpus)
        fitting = num_fitting([node], resources)
        if not fitting:
            raise Refusal(self._missing(settings.study.name, resources))
        return min(fitting, resources.max_concurrent_trials or fitting)

    def _missing(self, study: str, resources: ResourcesSection) -> str:
        """Explain why not even one trial fits: the machine has too few cores or GPUs."""
        lacks_cores = resources.num_workers * resources.cpus_per_worker > self.num_cores
        kind, key = KINDS[0] if lacks_cores else KINDS[1]
        available = self.num_cores if lacks_cores else self.num_gpus
        per_worker = getattr(resources, key)
        return (
            f"a trial of study {study!r} needs {resources.num_workers} workers x {per_worker} "
            f"{kind}s = {resources.num_workers * per_worker}, but this machine has {available}; "
            f"lower num_workers or {key} in [resources]"
        )


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """The nodes of a cluster.

    Attributes:
        nodes: nodes that are running now.
        can_grow: whether an autoscaler adds nodes on demand. Ray does not report this; the user
            states it.
    """

    nodes: tuple[Node, ...]
    can_grow: bool = False

    def max_concurrent_trials(self, settings: StudySettings) -> int:
        """Return how many trials run at the same time.

        If the cluster can grow, future nodes cannot be counted. The study's
        `max_concurrent_trials` is used instead, and the cluster grows to that size.

        Raises Refusal, with what is missing, if not even one trial fits.
        """
        resources = settings.resources
        wanted = resources.max_concurrent_trials
        if self.can_grow and wanted is not None:
            return wanted
        fitting = num_fitting(self.nodes, resources)
        if not fitting:
            raise Refusal(
                f"{self._missing(settings.study.name, resources)}; if the cluster adds nodes on "
                "demand, set max_concurrent_trials and run with --autoscaling"
            )
        return min(fitting, wanted or fitting)

    def _missing(self, study: str, resources: ResourcesSection) -> str:
        """Explain why not even one trial fits."""
        slots = sum(node.num_workers(resources) for node in self.nodes)
        for kind, key in KINDS:
            needed = getattr(resources, key)
            largest = max((self._amount(node, kind) for node in self.nodes), default=0)
            if needed > largest:
                return (
                    f"a worker of study {study!r} needs {needed} {kind}s on one node, but the "
                    f"largest node has {largest}; lower {key} in [resources] or add a larger node"
                )
        cpus_and_gpus = f"{resources.cpus_per_worker} CPUs and {resources.gpus_per_worker} GPUs"
        if not slots:
            return (
                f"a worker of study {study!r} needs {cpus_and_gpus} on one node, but no node has "
                "both; lower one of the two in [resources] or add a node that has both"
            )
        return (
            f"a trial of study {study!r} needs {resources.num_workers} workers with "
            f"{cpus_and_gpus} each, but the {len(self.nodes)} nodes have room for {slots}; lower "
            "num_workers in [resources] or add nodes"
        )

    @staticmethod
    def _amount(node: Node, kind: str) -> int:
        return node.num_cpus if kind == "CPU" else node.num_gpus
