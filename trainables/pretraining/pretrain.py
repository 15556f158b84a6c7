"""pretrain: makes a base encoder with the same training loop as all other training.

A base encoder is kept in a folder named by a digest of its recipe and its text. A second request
for the same encoder gets this folder at once.
"""

import logging
import multiprocessing
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as distributed
from transformers import (
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from spaces.tasks.pocket_tasks import TEXT
from trainables.encoders.model import TransferModel
from trainables.formats.kinds import format_of_kind
from trainables.formats.mlm import MlmHead
from trainables.pocket.tokenizer import fast_tokenizer, train_pieces
from trainables.pretraining.corpus import TaskText
from trainables.pretraining.parallel_embeddings import parallel_embeddings
from trainables.pretraining.recipe import BaseRecipe
from trainables.quiet import quiet_libraries
from trainables.store.folders import rename_new
from trainables.store.phase_store import Attempt, newest_whole
from trainables.training.loop import Callbacks, Progress, Saving, train_phase
from trainables.training.workers import Workers, meeting_on_loopback

MAX_PROCESSES = 2  # a step takes 50 ms: more processes would wait longer than they compute
POSITIONS_LOST = 2  # XLM-R counts positions from padding id + 1

SAVE_SECONDS = 20.0
NO_SAVING = Saving(save=lambda step, tensors, documents: None, every_seconds=float("inf"))

log = logging.getLogger(__name__)


def pretrain(
    recipe: BaseRecipe,
    home: Path,
    *,
    num_processes: int = 1,
    on_step: Callable[[int], None] = lambda step: None,
) -> Path:
    """The folder of the base encoder under `home`, trained first where it does not exist. Raises
    DivergedError."""
    folder = base_folder(recipe, home)
    if not folder.exists():
        pretrain_into(folder, recipe, num_processes=num_processes, on_step=on_step)
    return folder


def base_folder(recipe: BaseRecipe, home: Path) -> Path:
    """The folder of a recipe's base encoder under `home`, whether it exists or not."""
    return home / "encoders" / recipe.key()


def pretrain_into(
    folder: Path, recipe: BaseRecipe, *, num_processes: int, on_step: Callable[[int], None]
) -> None:
    """Train a base encoder and write it as a Hugging Face folder that `AutoModel` and
    `AutoModelForMaskedLM` load. The folder appears whole or not at all.

    Training goes on from what an earlier attempt at the same recipe left beside the folder. With
    several processes (at most MAX_PROCESSES), this process is the first one; each has one thread.
    `on_step` gets the number of finished steps. Raises DivergedError.
    """
    quiet_libraries()
    num_processes = min(num_processes, MAX_PROCESSES)
    attempt = Attempt(folder.with_name(f".{recipe.key()}.unfinished"))
    saving = Saving(
        save=attempt.save,
        every_seconds=SAVE_SECONDS,
        resume=newest_whole(attempt.folder.glob("checkpoint-*")),
    )
    with _one_thread(), _process_group(recipe, num_processes) as workers:
        model, tokenizer, progress = train_base(
            recipe, workers=workers, saving=saving, on_step=on_step
        )
    log.info("base %s: %d tokens in %.0f s", folder, progress.num_useful_tokens, progress.seconds)
    unfinished = folder.with_name(f"writing-{uuid.uuid4().hex}")
    masked_lm(model).save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    rename_new(unfinished, folder)
    shutil.rmtree(attempt.folder, ignore_errors=True)


def masked_lm(model: TransferModel) -> XLMRobertaForMaskedLM:
    """The encoder with its head as transformers' class, under its names."""
    head = model.heads[TEXT.name]
    assert isinstance(head, MlmHead)
    whole = XLMRobertaForMaskedLM(model.encoder.config)  # type: ignore[arg-type]
    whole.roberta.load_state_dict(model.encoder.state_dict())
    whole.lm_head.dense.load_state_dict(head.dense.state_dict())
    whole.lm_head.layer_norm.load_state_dict(head.layer_norm.state_dict())
    whole.lm_head.bias.data.copy_(head.bias.data)
    whole.tie_weights()
    return whole


def train_base(
    recipe: BaseRecipe, *, workers: Workers, saving: Saving, on_step: Callable[[int], None]
) -> tuple[TransferModel, PreTrainedTokenizerFast, Progress]:
    """Train the encoder; every worker runs this, and all of them end with equal weights."""
    text = recipe.text.rows()
    max_length = recipe.phase.recipe.max_length
    pieces = train_pieces(text, recipe.max_vocabulary) if workers.rank == 0 else ""
    tokenizer = fast_tokenizer(workers.share(pieces), max_length=max_length)
    torch.manual_seed(recipe.phase.seed)
    encoder = new_encoder(recipe, tokenizer)
    if recipe.has_parallel_embeddings:
        _start_from_translations(encoder, recipe, tokenizer, workers)
    task = TEXT
    task_format = format_of_kind(task.kind)
    head = task_format.build_head(task, encoder)
    assert head is not None
    features = task_format.encode(text, task, tokenizer=tokenizer, max_length=max_length)
    model = TransferModel(encoder, {TEXT.name: head}).to(workers.device)
    progress = train_phase(
        model,
        recipe.phase,
        {recipe.phase.mixture.sources[0]: features},
        tokenizer=tokenizer,
        workers=workers,
        max_device_tokens=recipe.phase.recipe.max_batch_tokens or 16_384,
        saving=replace(saving, resume=workers.share(saving.resume)),
        callbacks=Callbacks(on_step=on_step),
    )
    return model, tokenizer, progress


def new_encoder(recipe: BaseRecipe, tokenizer: PreTrainedTokenizerFast) -> XLMRobertaModel:
    """An encoder of XLM-R's architecture without a pooler; its weights are drawn by torch's global
    generator."""
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


@torch.no_grad()
def _start_from_translations(
    encoder: XLMRobertaModel,
    recipe: BaseRecipe,
    tokenizer: PreTrainedTokenizerFast,
    workers: Workers,
) -> None:
    """Set the embeddings from translations. Tokens that occur in no text (special tokens) keep
    their random embeddings."""
    assert isinstance(recipe.text, TaskText)
    embeddings = None
    if workers.rank == 0:
        texts = recipe.text.parallel()
        embeddings = torch.from_numpy(parallel_embeddings(tokenizer, texts, recipe.hidden_size))
    vectors = workers.share(embeddings)
    assert vectors is not None
    seen = vectors.any(dim=1)
    encoder.get_input_embeddings().weight[seen] = vectors[seen]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs with one thread: on a busy machine two threads wait for each other at every small
    operation."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


@contextmanager
def _process_group(recipe: BaseRecipe, num_processes: int) -> Iterator[Workers]:
    """Runs this process as the first of `num_processes` that train together; several run on the
    CPU."""
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
    with meeting_on_loopback():
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
    workers = Workers.of_process_group(torch.device("cpu"))
    train_base(recipe, workers=workers, saving=NO_SAVING, on_step=lambda step: None)
    distributed.destroy_process_group()
