"""Which folder a study's encoder stands for; the pocket base is made at its first use."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from search.home import Home
from spaces.refusal import Refusal
from spaces.study import StudySettings

if TYPE_CHECKING:  # it brings torch, which a study with its own encoder need not wait for here
    from trainables.pretrain import BaseRecipe

POCKET = "pocket"
LINES = 10  # of progress where there is no terminal


def find_encoder(settings: StudySettings, home: Home, *, console: Console | None = None) -> str:
    """The folder or hub name to load. Makes the pocket base first if it is not there yet, on all
    cores, with a progress bar on `console`."""
    encoder = settings.study.encoder
    if encoder != POCKET:
        return encoder
    from trainables.pretrain import pocket_base, pretrain
    from trainables.workers import num_cores

    recipe = pocket_base()
    with _steps(console or Console(stderr=True), recipe.phase.recipe.num_steps) as progress:
        folder = pretrain(recipe, home.path, num_processes=num_cores(), on_step=progress)
    return str(folder)


def pretrain_folder(folder: Path, recipe: "BaseRecipe", *, console: Console) -> None:
    """Pretrain into a new folder. Raises Refusal if there is something in it."""
    from trainables.pretrain import pretrain_into
    from trainables.workers import num_cores

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(f"{folder} is there already and not an empty folder; name a new one")
    if folder.exists():
        folder.rmdir()
    recipe.text.rows()  # refuse a bad file before anything is written
    with _steps(console, recipe.phase.recipe.num_steps) as progress:
        pretrain_into(folder, recipe, num_processes=num_cores(), on_step=progress)


@contextmanager
def _steps(console: Console, num_steps: int) -> Iterator[Callable[[int], None]]:
    """What is called after every step: a bar with an ETA, or a line now and then."""
    columns = (TextColumn("pretraining"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("steps", total=num_steps)
    each = max(1, num_steps // LINES)
    started = time.monotonic()

    def on_step(step: int) -> None:
        if step == 1:
            bar.start()
        bar.update(task, completed=step)
        if not console.is_terminal and step % each == 0:
            left = (time.monotonic() - started) / step * (num_steps - step)
            console.print(
                f"pretraining: step {step}/{num_steps}, about {left:.0f} s left",
                highlight=False,
            )

    try:
        yield on_step
    finally:
        bar.stop()
