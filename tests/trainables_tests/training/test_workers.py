"""Several workers are real processes here: this file is also what each of them runs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as distributed
from safetensors.torch import load_file, save_file

from spaces.phases import Phase, Recipe
from spaces.study_file.sections import Precision
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from spaces.tasks.task import TaskKind
from tests.by_name import mixture_of
from trainables.encoders.model import BaseEncoder
from trainables.features.features import read_features, write_features
from trainables.training.loop import Saving, train_phase
from trainables.training.workers import Workers, autocast, best_device, num_cores

NUM_WORKERS = 2
TEXTS = [task.name for task in SHIPPED if task.kind is TaskKind.MLM][:1]


def phase_of(*names: str, **recipe: Any) -> Phase:
    return Phase(
        mixture=mixture_of(dict.fromkeys(names, 1.0)),
        learning_rate=1e-3,
        seed=0,
        recipe=Recipe(**{"num_steps": 12, "batch_size": 6, "max_length": 64, **recipe}),
    )


PHASES = {
    "one task": phase_of("rel"),
    "a batch with fewer units than workers": phase_of("rel", batch_size=1, num_steps=5),
    "two tasks with different heads": phase_of("rel", "fact"),
    "tied embeddings": phase_of("rel", *TEXTS),
    "adapters": phase_of("rel", lora_rank=4),
}
# A constant added to what goes into a softmax: its gradient is zero but for rounding, which Adam
# makes into steps.
UNDETERMINED = ("key.bias", "heads.fact.out_proj.bias")
MICRO = 150  # padded tokens of a micro-batch: the workers have different numbers of them


def train(folder: Path, name: str, workers: Workers) -> dict[str, torch.Tensor]:
    base, phase = BaseEncoder.load(str(folder / "encoder")), PHASES[name]
    tasks = [source.task for source in phase.mixture.sources]
    model = base.model(tasks, encoder=None, seed=0)
    progress = train_phase(
        model,
        phase,
        {Source(task, "en"): read_features(folder / f"{task}.arrow") for task in tasks},
        tokenizer=base.tokenizer,
        workers=workers,
        max_device_tokens=MICRO,
        saving=Saving(save=lambda *_: None, every_seconds=1e9),
    )
    return {**model.state_dict(), "losses": torch.tensor(progress.losses)}


def run_worker(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=NUM_WORKERS,
        timeout=timedelta(seconds=120),
    )
    workers = Workers.of_process_group(torch.device("cpu"))
    reported = {
        "ranks": [workers.rank, workers.size],
        "gathered": workers.gather({"rank": rank}),
        "shared": workers.share(f"from {rank}"),
        "sum": float(workers.sum(torch.tensor(rank + 1.0))),
    }
    (folder / f"told-{rank}.json").write_text(json.dumps(reported))
    for number, name in enumerate(PHASES):
        save_file(train(folder, name, workers), folder / f"{number}-{rank}.safetensors")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, encoder_folder: Path, make_features) -> Path:
    """A folder with what two workers made of every phase."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "encoder").symlink_to(encoder_folder)
    for source, features in make_features("rel", "fact", *TEXTS).items():
        write_features(folder / f"{source.task}.arrow", features)
    # The first worker is this process: the others are the costly part of the test.
    command = [sys.executable, __file__, str(folder)]
    others = [subprocess.Popen([*command, str(rank)]) for rank in range(1, NUM_WORKERS)]
    run_worker(folder, 0)
    assert [process.wait(timeout=120) for process in others] == [0] * (NUM_WORKERS - 1)
    return folder


@pytest.mark.parametrize("name", PHASES)
def test_two_workers_train_what_one_does(trained: Path, name: str) -> None:
    alone = train(trained, name, Workers.alone())
    number = list(PHASES).index(name)
    first, second = (load_file(trained / f"{number}-{rank}.safetensors") for rank in (0, 1))
    assert alone.keys() == first.keys()
    for key, value in alone.items():
        assert torch.equal(first[key], second[key]), key
        if key.endswith(UNDETERMINED):
            continue
        tolerance = 1e-4 if key == "losses" else 1e-5
        torch.testing.assert_close(first[key], value, rtol=0, atol=tolerance)


def test_workers_talk_to_each_other(trained: Path) -> None:
    for rank in range(NUM_WORKERS):
        reported = json.loads((trained / f"told-{rank}.json").read_text())
        assert reported["ranks"] == [rank, NUM_WORKERS]
        assert reported["gathered"] == [{"rank": 0}, {"rank": 1}]
        assert reported["shared"] == "from 0"
        assert reported["sum"] == 3


def test_one_worker_needs_no_group() -> None:
    workers = Workers.alone()
    encoder = torch.nn.Linear(1, 1)
    assert workers.wrap(encoder) is encoder
    assert workers.gather("x") == ["x"]
    assert workers.share("x") == "x"
    assert float(workers.sum(torch.tensor(2.0))) == 2
    workers.average_gradients(encoder.parameters())
    assert encoder.weight.grad is None


def test_the_cpu_computes_in_full_precision() -> None:
    workers = Workers.alone(torch.device("cpu"))
    assert (workers.precision, workers.device_name) == (Precision.FP32, "cpu")
    for wanted in Precision:
        assert workers.computing_in(wanted) == workers, "bf16 is what it does not have"
    with workers.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    with autocast(torch.device("cpu"), Precision.BF16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16
    assert best_device().type in ("cpu", "cuda")


def test_a_gpu_computes_in_what_the_study_says(monkeypatch: pytest.MonkeyPatch) -> None:
    has: dict[str, bool] = {}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has["bf16"])
    gpu = torch.device("cuda")
    for has["bf16"], expected in (
        (True, {Precision.BF16: Precision.BF16, Precision.FP32: Precision.FP32}),
        (False, {Precision.BF16: Precision.FP32, Precision.FP32: Precision.FP32}),  # an older one
    ):
        workers = Workers.alone(gpu)
        assert {p: workers.computing_in(p).precision for p in Precision} == expected


if __name__ == "__main__":
    run_worker(Path(sys.argv[1]), int(sys.argv[2]))


def test_the_cores_that_this_process_may_use() -> None:
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert num_cores() == 1
    finally:
        os.sched_setaffinity(0, usable)
    assert 1 <= num_cores() <= len(usable)  # a container's quota may leave fewer


@pytest.mark.parametrize("has_more", [False, True])
def test_gradients_of_weights_that_no_text_reaches_are_not_waited_for(
    monkeypatch, tiny_encoder, has_more: bool
) -> None:
    """As Longformer's global attention, which no text here has."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "trainables.training.workers.DistributedDataParallel",
        lambda encoder, **options: asked.update(options),
    )
    if has_more:
        tiny_encoder.more = torch.nn.Linear(2, 2)
    replace(Workers.alone(), size=2).wrap(tiny_encoder)
    assert asked["find_unused_parameters"] is has_more
