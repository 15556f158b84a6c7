"""Workers: one process, or several that train one phase together."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed as distributed
from joblib import cpu_count
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spaces.study_file.sections import Precision
from trainables.encoders.checks import unreached

T = TypeVar("T")

# Workers that train together listen for each other, without a password, on the interface that these
# name (gloo's and NCCL's own default is the interface of the machine's name).
INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@contextmanager
def meeting_on_loopback() -> Iterator[None]:
    """Inside, this process and those that it starts listen for each other where no other machine
    can reach them. The environment is as it was afterwards: a cluster may be joined later."""
    loopback = next(name for _, name in socket.if_nameindex() if name in {"lo", "lo0"})
    before = {name: os.environ[name] for name in INTERFACE_VARIABLES if name in os.environ}
    os.environ.update(dict.fromkeys(INTERFACE_VARIABLES, loopback))
    try:
        yield
    finally:
        for name in INTERFACE_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)


@dataclass(frozen=True, slots=True)
class Workers:
    """The rank of this process among `size` workers, its device, and the precision of encoders
    there.

    With several workers torch's process group must exist already.
    """

    rank: int
    size: int
    device: torch.device
    precision: Precision = Precision.FP32

    @classmethod
    def alone(cls, device: torch.device | None = None) -> "Workers":
        """One process, by default on the best device."""
        return cls._on(0, 1, device or best_device())

    @classmethod
    def of_process_group(cls, device: torch.device) -> "Workers":
        """This process in torch's process group."""
        return cls._on(distributed.get_rank(), distributed.get_world_size(), device)

    @classmethod
    def _on(cls, rank: int, size: int, device: torch.device) -> "Workers":
        return cls(rank, size, device, best_precision(device))

    def computing_in(self, precision: Precision) -> "Workers":
        """The workers in that precision where the device has it, else in fp32, which every
        device has. Training refuses a precision that was not asked for (stage.py); scoring
        accepts both."""
        has_it = precision in (Precision.FP32, best_precision(self.device))
        return replace(self, precision=precision if has_it else Precision.FP32)

    @property
    def device_name(self) -> str:
        """`cpu`, or the manufacturer's name of the GPU."""
        is_gpu = self.device.type == "cuda"
        return torch.cuda.get_device_name(self.device) if is_gpu else self.device.type

    def autocast(self) -> torch.autocast:
        """The context manager for the encoder's precision; only encoders run in it."""
        return autocast(self.device, self.precision)

    def wrap(self, encoder: nn.Module) -> nn.Module:
        """The encoder, wrapped so that its gradients are averaged over the workers in the backward
        pass."""
        if self.size == 1 or not any(p.requires_grad for p in encoder.parameters()):
            return encoder
        devices = [self.device] if self.device.type == "cuda" else None
        # Buffers are constants (positions), the same everywhere from the start. Some families have
        # weights that no text reaches (Longformer's global attention): none waits for these.
        return DistributedDataParallel(
            encoder,
            device_ids=devices,
            forward_sync_buffers=False,
            find_unused_parameters=bool(unreached(encoder)),
        )

    def unsynced(self, encoder: nn.Module, unless: bool) -> AbstractContextManager[None]:
        """A context manager that keeps gradients local in all micro-batches of a step but the last
        (`unless`)."""
        if unless or not isinstance(encoder, DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[None] = encoder.no_sync()
        return context

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over the workers, for the heads, which are outside the wrapped
        encoder."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.size

    def sum(self, value: Tensor) -> Tensor:
        """The sum of the value over all workers, on every worker."""
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
        """The values of all workers, by rank, on every worker."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values


def num_cores() -> int:
    """The cores that this process may use, at least 1. In a container these are fewer than the
    machine's: its CPU mask and the quota of its control group count."""
    return int(cpu_count())


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def reading_tokens(device: torch.device) -> int:
    """Padded tokens of a batch that is only read: many for a GPU; for a core as many as its caches
    hold the states of."""
    return 16_384 if device.type == "cuda" else 2_048


def best_precision(device: torch.device) -> Precision:
    """bf16 where the device has it (GPUs since Ampere), else fp32."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision.BF16 if has_bf16 else Precision.FP32


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context manager in which encoders compute in this precision."""
    is_bf16 = precision is Precision.BF16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16)
