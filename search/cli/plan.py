"""The command that looks ahead: what a study would run, which options look promising, how long it
would take. Heavy imports wait for their option."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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
from spaces.json_values import to_json
from spaces.study import StudySettings

if TYPE_CHECKING:  # it brings torch, which a plan alone need not wait for
    from search.planning.measure import Measurement
    from search.planning.priors import Priors
    from trainables.training.context import TrialContext


TOKENISED_ROWS = 1000  # of each task, language and split: a share of cut rows to a point or two
NO_ENCODER = (
    "the encoder is not on this machine yet: what its tokenizer and max_length cost, and whether "
    "the retrieval layer exists, is checked as the study starts"
)


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

    settings = api.load_settings(study, name=name, data_root=data_root)
    found = api.plan(settings, sequences_per_second=sequences_per_second)
    if rows:
        warned = _warned_by_rows(settings, Home.of(home))
        found = replace(found, warnings=(*found.warnings, *warned))
    priors: Priors | None = None
    measured: Measurement | None = None
    if (explain or measure) and not found.errors:
        with _opened(settings, Home.of(home)) as (context, seconds):
            priors = _explained(settings, context) if explain else None
            measured = _measured(settings, context, seconds) if measure else None

    def show(console: Console) -> None:
        from search.cli.views import show_forecast
        from search.report.priors import show_priors

        show_plan(found, console)
        if priors is not None:
            show_priors(priors, console, is_used=settings.study.priors)
        if measured is not None:
            show_forecast(measured, console)

    content = found.to_dict()
    content |= {"priors": to_json(priors)} if priors is not None else {}
    content |= {"measured": measured.to_dict()} if measured is not None else {}
    output(content, as_json, show)
    if found.errors:
        raise typer.Exit(2)


def _warned_by_rows(settings: StudySettings, home: Home) -> list[str]:
    """What all rows say, and what the tokenizer makes of some of each language, where the encoder
    is there. Raises Refusal where the encoder does not fit the study."""
    from search.base_encoder import encoder_at_hand
    from search.display.progress import counting
    from search.planning.row_warnings import row_warnings, token_warnings
    from trainables.rows.rows import Rows

    rows, console = Rows.of(settings), Console(stderr=True)
    with counting(console, "checking rows") as on_done:
        warned = list(row_warnings(settings, rows, on_done=on_done))
    folder = encoder_at_hand(settings, home)
    if folder is None:
        return [*warned, NO_ENCODER]
    from trainables.encoders.model import BaseEncoder
    from trainables.features.features import Data
    from trainables.training.context import check_encoder

    base = BaseEncoder.load(str(folder))
    check_encoder(settings, base)
    with (
        tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch,
        counting(console, "tokenising some") as on_done,
    ):
        data = Data(Path(scratch), base, rows)
        found = token_warnings(settings, data, max_rows=TOKENISED_ROWS, on_done=on_done)
        return [*warned, *found]


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
    """The study's encoder and rows over stores that are thrown away, and the seconds that it took
    to import and load them. An encoder that is made at its first use is made here, in the home
    folder."""
    from search.base_encoder import find_encoder
    from search.display.progress import counting

    with counting(Console(stderr=True), "pretraining") as on_step:
        encoder = find_encoder(settings, home, on_step=on_step)
    began = time.monotonic()
    from trainables.training.context import TrialContext
    from trainables.training.workers import Workers

    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        place, workers = Path(folder), Workers.alone()
        context = TrialContext.open(settings, home=place, encoder=encoder, workers=workers)
        yield context, time.monotonic() - began
