"""pretrain: the pocket base encoder, made by the loop that trains everything else.

A base is kept in a folder named by the content of its recipe and of its text: whoever asks for the
same one again gets the folder at once.
"""

import hashlib
import json
import logging
import multiprocessing
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import nn
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe
from spaces.tasks import Source, get_task
from trainables.checkpoint import rename_new
from trainables.data import ENCODING_VERSION
from trainables.formats.kinds import format_of
from trainables.loop import Progress, Saving, train_phase
from trainables.model import TransferModel
from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.text import pretraining_text
from trainables.pocket.tokenizer import fast_tokenizer, train_pieces
from trainables.workers import Workers
from trainables.world import TRAINING_VERSION

TASK = "text"
NUM_HASHED_ROWS = 1_000
MAX_PROCESSES = 2  # a step is 50 ms of work: more of them wait longer than they compute
POSITIONS_LOST = 2  # XLM-R counts positions from the padding id on

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecipe:
    """Everything that decides a base but the text's own rules.

    `num_rows` rows of text are read over and over, masked anew, for the steps of `phase`; so many
    pieces as `max_vocabulary` need not be found in the text. There is no dropout, so that the
    number of workers changes nothing but the order of summation.
    """

    languages: tuple[str, ...]
    num_rows: int
    max_vocabulary: int
    hidden_size: int
    num_layers: int
    num_heads: int
    feed_forward_size: int
    phase: Phase

    def key(self) -> str:
        """The content key: of this recipe, of the first rows of its text, and of the versions."""
        text = pretraining_text(NUM_HASHED_ROWS, seed=self.phase.seed, languages=self.languages)
        content = {
            "recipe": {**asdict(self), "phase": self.phase.to_dict()},
            "text": [asdict(row) for row in text],
            "versions": [TRAINING_VERSION, ENCODING_VERSION],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def pocket_base(*, seed: int = 0) -> BaseRecipe:
    """The base of the shipped pocket studies: 12 languages, 3.5 million tokens, 210 CPU-seconds."""
    return BaseRecipe(
        languages=LANGUAGES,
        num_rows=100_000,
        max_vocabulary=6000,
        hidden_size=128,
        num_layers=3,
        num_heads=4,
        feed_forward_size=256,
        phase=_phase(num_steps=3500, learning_rate=3e-3, max_batch_tokens=1024, seed=seed),
    )


def tiny_base(*, seed: int = 0) -> BaseRecipe:
    """A base for tests: three languages, 10 CPU-seconds; it knows kinds of things, few facts."""
    return BaseRecipe(
        languages=LANGUAGES[:3],
        num_rows=20_000,
        max_vocabulary=1500,
        hidden_size=64,
        num_layers=2,
        num_heads=2,
        feed_forward_size=128,
        phase=_phase(num_steps=600, learning_rate=3e-3, max_batch_tokens=768, seed=seed),
    )


def _phase(*, num_steps: int, learning_rate: float, max_batch_tokens: int, seed: int) -> Phase:
    recipe = Recipe(
        num_steps=num_steps,
        batch_size=256,
        max_length=128,
        max_batch_tokens=max_batch_tokens,
        warmup_share=0.06,
        mask_share=0.35,
        adam_beta2=0.95,
    )
    mixture = Mixture.of({TASK: 1.0})
    return Phase(mixture=mixture, learning_rate=learning_rate, seed=seed, recipe=recipe)


def pretrain(
    recipe: BaseRecipe,
    home: Path,
    *,
    num_processes: int = 1,
    on_step: Callable[[int], None] = lambda step: None,
) -> Path:
    """The folder of the base under `home`, trained first if it is not there.

    With several processes (MAX_PROCESSES are of use), this one is the first of them; each gets one
    thread. `on_step` is told the number of steps done. Raises DivergedError.
    """
    num_processes = min(num_processes, MAX_PROCESSES)
    folder = home / "encoders" / f"pocket-{recipe.key()}"
    if folder.exists():
        return folder
    with _one_thread(), _process_group(recipe, num_processes) as workers:
        encoder, tokenizer, progress = train_base(recipe, workers=workers, on_step=on_step)
    log.info("base %s: %d tokens in %.0f s", folder, progress.num_useful_tokens, progress.seconds)
    unfinished = folder.with_name(f"writing-{uuid.uuid4().hex}")
    encoder.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    rename_new(unfinished, folder)
    return folder


def train_base(
    recipe: BaseRecipe, *, workers: Workers, on_step: Callable[[int], None]
) -> tuple[XLMRobertaModel, PreTrainedTokenizerFast, Progress]:
    """What every worker runs; all of them end with the same weights."""
    text = list(
        pretraining_text(recipe.num_rows, seed=recipe.phase.seed, languages=recipe.languages)
    )
    max_length = recipe.phase.recipe.max_length
    pieces = train_pieces(text, recipe.max_vocabulary) if workers.rank == 0 else ""
    tokenizer = fast_tokenizer(workers.share(pieces), max_length=max_length)
    torch.manual_seed(recipe.phase.seed)
    encoder = new_encoder(recipe, tokenizer)
    task = get_task(TASK)
    form = format_of(task.kind)
    head = form.build_head(task, encoder)
    assert head is not None
    features = form.encode(text, task, tokenizer=tokenizer, max_length=max_length)
    progress = train_phase(
        TransferModel(encoder, {TASK: head}).to(workers.device),
        recipe.phase,
        {Source.parse(TASK): features},
        tokenizer=tokenizer,
        workers=workers,
        max_device_tokens=recipe.phase.recipe.max_batch_tokens or 16_384,
        dev_score=_no_dev_score,
        saving=Saving(save=lambda step, tensors, documents: None, every_seconds=float("inf")),
        on_step=on_step,
    )
    return encoder, tokenizer, progress


def new_encoder(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast) -> XLMRobertaModel:
    """XLM-R's architecture with weights from torch's global generator; no pooler."""
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.num_layers,
        num_attention_heads=recipe.num_heads,
        intermediate_size=recipe.feed_forward_size,
        max_position_embeddings=recipe.phase.recipe.max_length + POSITIONS_LOST,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return XLMRobertaModel(config, add_pooling_layer=False)


def _no_dev_score(model: nn.Module) -> float:
    raise AssertionError("pretraining evaluates nothing on the way")


@contextmanager
def _one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other at every small operation."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


@contextmanager
def _process_group(recipe: BaseRecipe, num_processes: int) -> Iterator[Workers]:
    """This process as the first of `num_processes` that train together, on the CPU if several."""
    if num_processes == 1:
        yield Workers.alone()
        return
    folder = tempfile.mkdtemp(prefix="pretrain-")
    rendezvous = f"file://{folder}/rendezvous"
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(target=_other_process, args=(recipe, num_processes, rendezvous, rank))
        for rank in range(1, num_processes)
    ]
    for process in others:
        process.start()
    try:
        _join_group(rendezvous, 0, num_processes)
        yield Workers.of_process_group(torch.device("cpu"))
    except BaseException:
        for process in others:
            process.kill()
        raise
    finally:
        for process in others:
            process.join()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        shutil.rmtree(folder, ignore_errors=True)


def _join_group(rendezvous: str, rank: int, num_processes: int) -> None:
    distributed.init_process_group(
        "gloo",
        init_method=rendezvous,
        rank=rank,
        world_size=num_processes,
        timeout=timedelta(minutes=5),
    )


def _other_process(recipe: BaseRecipe, num_processes: int, rendezvous: str, rank: int) -> None:
    torch.set_num_threads(1)
    _join_group(rendezvous, rank, num_processes)
    train_base(
        recipe, workers=Workers.of_process_group(torch.device("cpu")), on_step=lambda step: None
    )
    distributed.destroy_process_group()
