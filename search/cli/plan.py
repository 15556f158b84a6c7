"""The command `plan`: what a study would run, which options look promising, how long it would take.
Heavy imports wait until their option is used."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from search.callbacks import StartCallbacks
from search.cli.options import (
    DataRootOption,
    EncoderOption,
    HomeOption,
    JsonOption,
    RenameOption,
    StudyArgument,
    output,
)
from search.home import Home
from search.planning.costs import SEQUENCES_PER_SECOND
from spaces.json_values import to_json
from spaces.study_file.study import StudySettings

if TYPE_CHECKING:  # it brings torch, which a plan alone need not wait for
    from search.planning.measure import Measurement
    from search.planning.plan import StudyPlan
    from search.planning.priors import Priors
    from trainables.training.context import TrialContext


def plan(
    study: StudyArgument,
    name: RenameOption = None,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", help="Read and check the rows, and the encoder if it is on this machine."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Rank the intermediate options with the frozen encoder."),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Train a few steps of each kind of stage to forecast the time."
        ),
    ] = False,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    home: HomeOption = None,
    sequences_per_second: Annotated[
        float,
        typer.Option(min=0.001, help="Training speed of one GPU, for the estimate of GPU-hours."),
    ] = SEQUENCES_PER_SECOND,
    as_json: JsonOption = False,
) -> None:
    """Show what a study would run: trials, stages, cost and errors in its contract.

    The study is not started. Exit code 2 if there are errors.
    """
    from search import api
    from search.display.progress import counting

    settings = api.load_settings(study, name=name, data_root=data_root, encoder=encoder)
    errors = Console(stderr=True)
    with (
        counting(errors, "checking rows") as on_checked,
        counting(errors, "tokenising a sample") as on_prepared,
    ):
        planned = api.plan(
            settings,
            encoder=encoder,
            sequences_per_second=sequences_per_second,
            rows=rows,
            home=home,
            callbacks=StartCallbacks(on_checked=on_checked, on_prepared=on_prepared),
        )
    priors: Priors | None = None
    measured: Measurement | None = None
    if (explain or measure) and not planned.errors:
        with _opened(settings, Home.of(home)) as (context, seconds):
            priors = _explained(settings, context) if explain else None
            measured = _measured(settings, context, seconds) if measure else None
    _print(planned, priors, measured, is_used=settings.study.priors, as_json=as_json)
    if planned.errors:
        raise typer.Exit(2)


def _print(
    planned: "StudyPlan",
    priors: "Priors | None",
    measured: "Measurement | None",
    *,
    is_used: bool,
    as_json: bool,
) -> None:
    """Print the plan, with the ranking and the forecast if they were asked for."""

    def show(console: Console) -> None:
        from search.cli.views import show_forecast, show_plan
        from search.planning.prior_views import show_priors

        show_plan(planned, console)
        if priors is not None:
            show_priors(priors, console, is_used=is_used)
        if measured is not None:
            show_forecast(measured, console)

    content = planned.to_dict()
    content |= {"priors": to_json(priors)} if priors is not None else {}
    content |= {"measured": measured.to_dict()} if measured is not None else {}
    output(content, as_json, show)


def _explained(settings: StudySettings, context: "TrialContext") -> "Priors | None":
    from search.display.progress import counting
    from search.planning.prior_estimates import explain

    with counting(Console(stderr=True), "looking at rows") as on_done:
        return explain(settings, context.data, on_done=on_done)


def _measured(settings: StudySettings, context: "TrialContext", seconds: float) -> "Measurement":
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
    """The study's encoder and rows with stores in a temporary folder, and the seconds that it took
    to import and load them. If the study pretrains its encoder and it is not in the home folder
    yet, it is pretrained first."""
    from search.base_encoder import find_encoder
    from search.display.progress import counting

    with counting(Console(stderr=True), "pretraining") as on_step:
        encoder = find_encoder(settings, home, on_step=on_step)
    began = time.monotonic()
    from trainables.training.context import TrialContext
    from trainables.training.workers import Workers

    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        scratch, workers = Path(folder), Workers.alone()
        context = TrialContext.open(settings, home=scratch, encoder=encoder, workers=workers)
        yield context, time.monotonic() - began
