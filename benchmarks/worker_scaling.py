"""Compares training with two workers and with one worker, on the CPU: same phase, same losses.

    OMP_NUM_THREADS=1 python -m benchmarks.worker_scaling [--data-root DIR] [--write]

The phase is that of `training_throughput`. Each worker is a process with one thread, and gradients
are exchanged by gloo. Only the training loop is timed, not the start of the processes.
"""

import multiprocessing
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed

from benchmarks.common.measuring import RESULTS, Line, in_turns, options, publish
from benchmarks.common.small_model import Shape
from benchmarks.training_throughput import BATCH_SIZE, make_encoder, open_bench
from trainables.quiet import quiet_libraries
from trainables.training.batches import POOL_BATCHES
from trainables.training.workers import Workers

Trained = tuple[float, list[float]]  # examples per second, losses
MAX_SECONDS = 600
MAX_DIFFERENCE = 1e-3  # of a mean loss over ten steps, since only the order of summation differs


def train(folder: Path, data_root: str | None, num_steps: int, size: int) -> Trained:
    """Train in `size` new processes."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    rendezvous = f"file://{folder}/rendezvous-{uuid.uuid4().hex}"
    shared = (folder, data_root, num_steps, size, rendezvous, answers)
    processes = [spawn.Process(target=worker, args=(rank, *shared)) for rank in range(size)]
    for process in processes:
        process.start()
    trained: Trained = answers.get(timeout=MAX_SECONDS)
    for process in processes:
        process.join()
    assert all(process.exitcode == 0 for process in processes)
    return trained


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
    bench = open_bench(folder, data_root, num_steps=num_steps)
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=size)
    speed, progress = bench.ours(Workers.of_process_group(torch.device("cpu")))
    if rank == 0:
        answers.put((speed, progress.losses))
    distributed.destroy_process_group()


def main() -> None:
    parser = options("Compares training with two workers and with one worker.")
    parser.add_argument("--steps", type=int, default=POOL_BATCHES)
    arguments = parser.parse_args()
    quiet_libraries()
    shape = Shape()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch)
        make_encoder(folder, arguments.data_root, shape)
        open_bench(folder, arguments.data_root, num_steps=arguments.steps)  # tokenises the rows
        sides: dict[str, Callable[[], tuple[float, Any]]] = {
            "two": lambda: train(folder, arguments.data_root, arguments.steps, 2),
            "one": lambda: train(folder, arguments.data_root, arguments.steps, 1),
        }
        timed = in_turns(sides, num_turns=arguments.turns)
    losses_of_two, losses_of_one = timed["two"][1][0], timed["one"][1][0]
    difference = max(abs(a - b) for a, b in zip(losses_of_two, losses_of_one, strict=True))
    assert difference < MAX_DIFFERENCE, (losses_of_two, losses_of_one)
    line = Line(
        name="training, two workers against one",
        ours=timed["two"][0],
        theirs=timed["one"][0],
        unit="examples/s",
        is_rate=True,
        equal=f"every ten steps' loss, within {difference:.0e}",
    )
    facts = {"encoder": str(shape), "steps": f"{arguments.steps} of {BATCH_SIZE} examples"}
    publish("Scaling", [line], facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
