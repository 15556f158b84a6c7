"""Which folder a study's encoder stands for; the pocket base is made at its first use."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from search.home import Home
from spaces.study import StudySettings

POCKET = "pocket"
LINES = 10  # of progress where there is no terminal


def find_encoder(settings: StudySettings, home: Home, *, console: Console | None = None) -> str:
    """The folder or hub name to load. Makes the pocket base first if it is not there yet, on all
    cores, with a progress bar on `console`."""
    encoder = settings.study.encoder
    if encoder != POCKET:
        return encoder
    from trainables.pretrain import pocket_base, pretrain

    recipe = pocket_base()
    with _steps(console or Console(stderr=True), recipe.phase.recipe.num_steps) as progress:
        return str(pretrain(recipe, home.path, num_processes=os.cpu_count() or 1, on_step=progress))


@contextmanager
def _steps(console: Console, num_steps: int) -> Iterator[Callable[[int], None]]:
    """What is called after every step: a bar with an ETA, or a line now and then."""
    columns = (TextColumn("pretraining the pocket base"), BarColumn(), TimeRemainingColumn())
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
                f"pretraining the pocket base: step {step}/{num_steps}, about {left:.0f} s left",
                highlight=False,
            )

    try:
        yield on_step
    finally:
        bar.stop()
