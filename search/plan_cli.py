"""The command that looks ahead: what a study would run, which options look promising, how long it
would take. Heavy imports wait for their option."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from search.estimates import SEQUENCES_PER_SECOND
from search.home import Home
from search.options import (
    DataRootOption,
    HomeOption,
    JsonOption,
    RenameOption,
    StudyArgument,
    load,
    output,
)
from spaces.study import StudySettings

if TYPE_CHECKING:  # it brings torch, which a plan alone need not wait for
    from trainables.workshop import Workshop


def plan(
    study: StudyArgument,
    name: RenameOption = None,
    rows: Annotated[bool, typer.Option("--rows", help="Read the rows and check them too.")] = False,
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
    from search.plan import plan_study
    from search.views import show_plan

    settings = load(study, name, data_root)
    found = plan_study(settings, sequences_per_second=sequences_per_second)
    if rows:
        from search.contracts import row_warnings
        from trainables.rows import Rows

        warned = row_warnings(settings, Rows.of(settings))
        found = replace(found, warnings=(*found.warnings, *warned))
    more: dict[str, Any] = {}
    if (explain or measure) and not found.errors:
        with _opened(settings, Home.of(home)) as (shop, seconds):
            more |= {"priors": _explained(settings, shop)} if explain else {}
            more |= {"measured": _measured(settings, shop, seconds)} if measure else {}

    def show(console: Console) -> None:
        from search.prior_views import show_priors
        from search.views import show_forecast

        show_plan(found, console)
        if "priors" in more:
            show_priors(more["priors"], console, is_used=settings.study.priors)
        if "measured" in more:
            show_forecast(more["measured"], console)

    output({**found.to_dict(), **more}, as_json, show)
    if found.errors:
        raise typer.Exit(2)


def _explained(settings: StudySettings, shop: "Workshop") -> Any:
    from search.explaining import explain
    from search.progress import counting

    with counting(Console(stderr=True), "looking at rows") as on_done:
        return explain(settings, shop.data, on_done=on_done)


def _measured(settings: StudySettings, shop: "Workshop", seconds: float) -> Any:
    from search.machine import Machine
    from search.measuring import measure
    from search.progress import counting

    max_concurrent = Machine.here().max_concurrent_trials(settings)
    with counting(Console(stderr=True), "measuring") as on_done:
        return measure(
            settings, shop, max_concurrent=max_concurrent, startup=seconds, on_done=on_done
        )


@contextmanager
def _opened(settings: StudySettings, home: Home) -> Iterator[tuple["Workshop", float]]:
    """The study's encoder and rows over stores that are thrown away, and the seconds that it took
    to import and load them. An encoder that is made at its first use is made here, in the home
    folder."""
    from search.bases import find_encoder

    encoder = find_encoder(settings, home, console=Console(stderr=True))
    began = time.monotonic()
    from trainables.workers import Workers
    from trainables.workshop import Workshop

    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        place, workers = Path(folder), Workers.alone()
        shop = Workshop.open(settings, home=place, encoder=encoder, workers=workers)
        yield shop, time.monotonic() - began
