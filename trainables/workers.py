"""The workers that train one phase together: one process without any reduction, or several."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as distributed
from joblib import cpu_count
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """This process's place among `size` workers, and its device.

    With more than one, torch's process group must be there already.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    def alone(cls) -> "Workers":
        return cls(0, 1, best_device())

    @classmethod
    def of_process_group(cls, device: torch.device) -> "Workers":
        return cls(distributed.get_rank(), distributed.get_world_size(), device)

    def wrap(self, encoder: nn.Module) -> nn.Module:
        """The encoder with its gradients averaged over the workers in the backward pass."""
        if self.size == 1 or not any(p.requires_grad for p in encoder.parameters()):
            return encoder
        devices = [self.device] if self.device.type == "cuda" else None
        # Buffers are constants (positions), the same everywhere from the start.
        return DistributedDataParallel(encoder, device_ids=devices, forward_sync_buffers=False)

    def unsynced(self, encoder: nn.Module, unless: bool) -> AbstractContextManager[None]:
        """Keep gradients local for a micro-batch that is not the step's last."""
        if unless or not isinstance(encoder, DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[None] = encoder.no_sync()
        return context

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """For the heads, which are few and lie outside the wrapped encoder."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.size

    def sum(self, value: Tensor) -> Tensor:
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def share(self, value: T) -> T:
        """The first worker's value, on every worker."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        shared: T = box[0]
        return shared

    def gather(self, value: T) -> list[T]:
        """Every worker's value, by rank, on every worker."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values


def num_cores() -> int:
    """The cores that this process may use, which are fewer than all in a container: its mask and
    the quota of its control group count. Part of a core is one."""
    return int(cpu_count())


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def reading_tokens(device: torch.device) -> int:
    """Padded tokens of a batch that is not trained on: a GPU wants many at once, a core as many as
    its caches hold the states of."""
    return 16_384 if device.type == "cuda" else 2_048


def autocast(device: torch.device) -> torch.autocast:
    """bf16 where the device has it (GPUs since Ampere), full precision otherwise."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bf16)
