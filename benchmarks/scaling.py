"""Training by two workers against one, on the CPU: the same phase, and the same losses.

    OMP_NUM_THREADS=1 python -m benchmarks.scaling [--data-root DIR] [--write]

The phase is that of the training benchmark; each worker is a process of one thread, gradients go
by gloo. Time is that of the loop: starting processes is no part of it.
"""

import multiprocessing
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed

from benchmarks.measuring import RESULTS, Line, in_turns, options, publish
from benchmarks.small_model import Shape
from benchmarks.training import BATCH_SIZE, make_encoder, open_bench
from trainables.quiet import quiet_libraries
from trainables.training.batches import POOL_BATCHES
from trainables.training.workers import Workers

Trained = tuple[float, list[float]]  # examples a second, losses
MAX_SECONDS = 600
MAX_DIFFERENCE = 1e-3  # of a mean loss over ten steps: only the order of summation differs


def train(folder: Path, data_root: str | None, num_steps: int, size: int) -> Trained:
    """A run in `size` processes of its own."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    rendezvous = f"file://{folder}/rendezvous-{uuid.uuid4().hex}"
    given = (folder, data_root, num_steps, size, rendezvous, answers)
    processes = [spawn.Process(target=worker, args=(rank, *given)) for rank in range(size)]
    for process in processes:
        process.start()
    found: Trained = answers.get(timeout=MAX_SECONDS)
    for process in processes:
        process.join()
    assert all(process.exitcode == 0 for process in processes)
    return found


def worker(
    rank: int,
    folder: Path,
    data_root: str | None,
    num_steps: int,
    size: int,
    rendezvous: str,
    answers: Any,
) -> None:
    quiet_libraries()
    torch.set_num_threads(1)
    found = open_bench(folder, data_root, num_steps=num_steps)
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=size)
    speed, progress = found.ours(Workers.of_process_group(torch.device("cpu")))
    if rank == 0:
        answers.put((speed, progress.losses))
    distributed.destroy_process_group()


def main() -> None:
    parser = options("Training by two workers against one.")
    parser.add_argument("--steps", type=int, default=POOL_BATCHES)
    given = parser.parse_args()
    quiet_libraries()
    shape = Shape()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch)
        make_encoder(folder, given.data_root, shape)
        open_bench(folder, given.data_root, num_steps=given.steps)  # tokenises the rows
        sides: dict[str, Callable[[], tuple[float, Any]]] = {
            "two": lambda: train(folder, given.data_root, given.steps, 2),
            "one": lambda: train(folder, given.data_root, given.steps, 1),
        }
        timed = in_turns(sides, num_turns=given.turns)
    two, one = timed["two"][1][0], timed["one"][1][0]
    difference = max(abs(a - b) for a, b in zip(two, one, strict=True))
    assert difference < MAX_DIFFERENCE, (two, one)
    line = Line(
        name="training, two workers against one",
        ours=timed["two"][0],
        theirs=timed["one"][0],
        unit="examples/s",
        is_rate=True,
        equal=f"every ten steps' loss, within {difference:.0e}",
    )
    facts = {"encoder": str(shape), "steps": f"{given.steps} of {BATCH_SIZE} examples"}
    publish("Scaling", [line], facts=facts, results=RESULTS if given.write else None)


if __name__ == "__main__":
    main()
