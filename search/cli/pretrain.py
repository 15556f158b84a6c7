"""The `pretrain` command."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search.cli.options import DataRootOption
from spaces.phases import Phase

Texts = list[str] | None
Files = Annotated[Texts, typer.Option(help="A file, a text a line.")]
Pairs = Annotated[Texts, typer.Option(help="A file, a text, a tab, its translation a line.")]
TextTask = Annotated[str | None, typer.Option(help="A text task, `flores`.")]
Languages = Annotated[Texts, typer.Option(help="Of --task; else all there are.")]
PairShare = Annotated[
    float, typer.Option(min=0, max=1, help="Of --task: rows that get their translation.")
]
Embeddings = Annotated[
    bool, typer.Option(help="Of --task: start pieces of translations near each other.")
]
Dataset = Annotated[str | None, typer.Option(help="Any data set of the hub: OWNER/NAME.")]
Configs = Annotated[Texts, typer.Option(help="Of --dataset.")]
Split = Annotated[str, typer.Option(help="Of --dataset.")]
Column = Annotated[str, typer.Option(help="Of --dataset: the one with the text.")]
Revision = Annotated[str | None, typer.Option(help="Of --dataset: a commit.")]
Tokens = Annotated[int, typer.Option(min=1, help="Padded tokens a step.")]
Length = Annotated[int, typer.Option(min=8, help="Tokens of a sequence.")]
Pieces = Annotated[int, typer.Option(min=300, help="Pieces at most.")]
Count = Annotated[int, typer.Option(min=1)]


def pretrain(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    text: Files = None,
    pairs: Pairs = None,
    task: TextTask = None,
    language: Languages = None,
    pair_share: PairShare = 0.0,
    parallel_embeddings: Embeddings = False,
    dataset: Dataset = None,
    config: Configs = None,
    split: Split = "train",
    column: Column = "text",
    revision: Revision = None,
    data_root: DataRootOption = None,
    steps: Count = 3500,
    learning_rate: float = 3e-3,
    batch_tokens: Tokens = 1024,
    max_length: Length = 128,
    vocabulary: Pieces = 6000,
    hidden_size: Annotated[int, typer.Option(min=8)] = 128,
    layers: Count = 3,
    heads: Count = 4,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Pretrain an XLM-R encoder from text by masked (and translation) language modelling.

    The text is that of files (--text, --pairs), of a text task (--task) or of a data set
    (--dataset); without any of these, that of the embedded benchmark.
    """
    from search.base_encoder import TextChoice, choose_text, pretrain_folder
    from search.display.progress import counting
    from trainables.pretraining.recipe import BaseRecipe

    wanted = TextChoice(
        texts=tuple(text or ()),
        pairs=tuple(pairs or ()),
        task=task,
        languages=tuple(language or ()),
        pair_share=pair_share,
        dataset=dataset,
        configs=tuple(config or ()),
        split=split,
        column=column,
        revision=revision,
    )
    recipe = BaseRecipe(
        text=choose_text(wanted, data_root=data_root, seed=seed),
        max_vocabulary=vocabulary,
        hidden_size=hidden_size,
        num_layers=layers,
        num_heads=heads,
        feed_forward_size=2 * hidden_size,
        phase=_phase(steps, learning_rate, batch_tokens, max_length, seed),
        has_parallel_embeddings=parallel_embeddings,
    )
    with counting(Console(), "pretraining") as on_step:
        pretrain_folder(folder, recipe, on_step=on_step)
    print(f"wrote {folder}")


def _phase(
    steps: int, learning_rate: float, batch_tokens: int, max_length: int, seed: int
) -> Phase:
    """What the options say of the training, in their order."""
    from trainables.pretraining.recipe import mlm_phase

    return mlm_phase(
        num_steps=steps,
        learning_rate=learning_rate,
        max_batch_tokens=batch_tokens,
        max_length=max_length,
        seed=seed,
    )
