"""The command that looks ahead: what a study would run, which options look promising, how long it
would take. Heavy imports wait for their option."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from search.callbacks import StartCallbacks
from search.cli.options import (
    DataRootOption,
    HomeOption,
    JsonOption,
    RenameOption,
    StudyArgument,
    output,
)
from search.home import Home
from search.planning.costs import SEQUENCES_PER_SECOND
from spaces.study import StudySettings

if TYPE_CHECKING:  # it brings torch, which a plan alone need not wait for
    from trainables.training.context import TrialContext


def plan(
    study: StudyArgument,
    name: RenameOption = None,
    rows: Annotated[
        bool, typer.Option("--rows", help="Read and check the rows, and the encoder if it is here.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Rank the intermediate options by the frozen encoder."),
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train some steps of each kind of stage: how long?")
    ] = False,
    data_root: DataRootOption = None,
    home: HomeOption = None,
    sequences_per_second: Annotated[
        float, typer.Option(min=0.001, help="Of training on one GPU, for the estimate of hours.")
    ] = SEQUENCES_PER_SECOND,
    as_json: JsonOption = False,
) -> None:
    """Show what a study would run: trials, stages, cost, contract errors. Starts nothing."""
    from search import api
    from search.cli.views import show_plan
    from search.display.progress import counting

    settings = api.load_settings(study, name=name, data_root=data_root)
    errors = Console(stderr=True)
    with (
        counting(errors, "checking rows") as on_checked,
        counting(errors, "tokenising some") as on_prepared,
    ):
        planned = api.plan(
            settings,
            sequences_per_second=sequences_per_second,
            rows=rows,
            home=home,
            callbacks=StartCallbacks(on_checked=on_checked, on_prepared=on_prepared),
        )
    more: dict[str, Any] = {}
    if (explain or measure) and not planned.errors:
        with _opened(settings, Home.of(home)) as (context, seconds):
            more |= {"priors": _explained(settings, context)} if explain else {}
            more |= {"measured": _measured(settings, context, seconds)} if measure else {}

    def show(console: Console) -> None:
        from search.cli.views import show_forecast
        from search.report.priors import show_priors

        show_plan(planned, console)
        if "priors" in more:
            show_priors(more["priors"], console, is_used=settings.study.priors)
        if "measured" in more:
            show_forecast(more["measured"], console)

    output({**planned.to_dict(), **more}, as_json, show)
    if planned.errors:
        raise typer.Exit(2)


def _explained(settings: StudySettings, context: "TrialContext") -> Any:
    from search.display.progress import counting
    from search.planning.prior_estimates import explain

    with counting(Console(stderr=True), "looking at rows") as on_done:
        return explain(settings, context.data, on_done=on_done)


def _measured(settings: StudySettings, context: "TrialContext", seconds: float) -> Any:
    from search.cluster.ray_runtime import this_machine
    from search.display.progress import counting
    from search.planning.measure import measure

    max_concurrent = this_machine().max_concurrent_trials(settings)
    with counting(Console(stderr=True), "measuring") as on_done:
        return measure(
            settings, context, max_concurrent=max_concurrent, startup=seconds, on_done=on_done
        )


@contextmanager
def _opened(settings: StudySettings, home: Home) -> Iterator[tuple["TrialContext", float]]:
    """The study's encoder and rows, over stores in a temporary folder (never an object store), and
    the seconds that importing and loading took. An encoder that is made at its first use is made
    here, in the home folder."""
    from search.base_encoder import find_encoder
    from search.display.progress import counting

    with counting(Console(stderr=True), "pretraining") as on_step:
        encoder = find_encoder(settings, home, on_step=on_step)
    began = time.monotonic()
    from trainables.training.context import TrialContext
    from trainables.training.workers import Workers

    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        context = TrialContext.open(
            settings, home=Path(folder), encoder=encoder, workers=Workers.alone()
        )
        yield context, time.monotonic() - began
