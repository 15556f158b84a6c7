"""The command line: parse, call one function, print. Heavy imports wait for their command."""

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from search.cli import cluster, data, k8s, plan, pretrain, results
from search.cli.cluster import AutoscalingOption, RayAddressOption, cluster_of
from search.cli.options import (
    DataRootOption,
    ExperimentOption,
    HomeOption,
    JsonOption,
    NameArgument,
    RenameOption,
    StudyArgument,
    TrackingOption,
    load,
    output,
)
from search.home import Home
from spaces.refusal import Refusal
from spaces.task_catalog import TASKS

UsageError: Any = typer.BadParameter.__mro__[1]  # typer has a copy of click of its own
INTERRUPTED = 130  # what a shell says of Ctrl-C
UNEXPECTED = 3  # the fresh seeds gain less than the search promised
UNREGISTERED = 4  # retrained, but no seed learned any target: there is no model

app = typer.Typer(
    name="transfer-search",
    help="Search intermediate tasks and learning rates for zero-shot cross-lingual transfer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: a refusal is one line on standard error and exit code 2, an interruption one
    line and 130."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (Refusal, UsageError) as error:
        code = 2
        _complain(error.format_message() if hasattr(error, "format_message") else str(error))
    if code == INTERRUPTED:
        _complain("interrupted; the same command goes on from here")
    sys.exit(code)


def _complain(line: str) -> None:
    print(f"transfer-search: {' '.join(line.split())}", file=sys.stderr)


def run(
    study: StudyArgument,
    home: HomeOption = None,
    name: RenameOption = None,
    data_root: DataRootOption = None,
    address: RayAddressOption = None,
    autoscaling: AutoscalingOption = False,
) -> None:
    """Run a study, or take it up where an earlier run left it; then print its report."""
    from search.base_encoder import find_encoder
    from search.display.progress import SearchProgress, counting
    from search.driver.runner import run_study
    from search.planning.plan import check_study
    from search.preflight import check_places
    from search.report.forms import render
    from search.sampling.warm_start import check_earlier
    from trainables.store.stores import phase_store_address

    console, place, settings = Console(), Home.of(home), load(study, name, data_root)
    check_study(settings)
    cluster = cluster_of(address, home, can_grow=autoscaling)
    check_places(
        place,
        tracking_uri=place.mlflow_uri(settings),
        phase_store=phase_store_address(settings.resources.phase_store),
    )
    check_earlier(place.optuna_url(settings), settings)
    find_encoder(settings, place, console=console)
    with (
        counting(console, "tokenising") as on_prepared,
        counting(console, "checking rows") as on_checked,
        counting(console, "ranking options") as on_ranked,
        SearchProgress(console, num_trials=settings.budget.num_trials) as watch,
    ):
        outcome = run_study(
            settings,
            place,
            watch,
            cluster=cluster,
            on_prepared=on_prepared,
            on_checked=on_checked,
            on_ranked=on_ranked,
        )
    if outcome.record is None:
        raise typer.Exit(INTERRUPTED)
    render(outcome.record, console)
    if outcome.ended_by:
        console.print(f"no further trial: {outcome.ended_by}", highlight=False)


def report(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    html: Annotated[Path | None, typer.Option(help="Write one HTML page here.")] = None,
    force: Annotated[bool, typer.Option(help="Mix scores of unlike protocols.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what came of a study, from MLflow alone."""
    from search.record.address import RecordAddress
    from search.record.reader import read_study
    from search.record.writer import drain_left
    from search.report.forms import render, render_html, report_json

    folder = Home.of(home)
    address = RecordAddress.find(study, folder, experiment=experiment, tracking_uri=tracking_uri)
    drain_left(address, outbox=folder.outbox(address.study))
    record = read_study(address)
    if html is not None:
        try:
            html.write_text(render_html(record, force=force), encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{html} cannot be written: {error.strerror}") from error
    output(
        report_json(record, force=force),
        as_json,
        lambda console: render(record, console, force=force),
    )


def retrain(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds, each for all plans.")] = 5,
    trial: Annotated[int | None, typer.Option(help="Another trial than the best.")] = None,
    target: Annotated[
        str | None, typer.Option(help="The trial that is best for this target, and what serves it.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Go on where data or code changed since the search.")
    ] = False,
    promote: Annotated[
        bool, typer.Option(help="Make the models champions, whatever stands there.")
    ] = False,
    data_root: DataRootOption = None,
    address: RayAddressOption = None,
    autoscaling: AutoscalingOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the best trial and the best baseline with fresh seeds, score the test split, and
    register the models.

    Exit code 3: the fresh seeds gain less than the search promised. Exit code 4: no seed learned
    any target, and no model is registered.
    """
    from search.cli.views import show_verdict, verdict_json
    from search.record.address import RecordAddress
    from search.winner import retrain as retraining

    folder, errors = Home.of(home), Console(stderr=True)
    verdict = retraining.retrain(
        RecordAddress.find(study, folder, experiment=experiment, tracking_uri=tracking_uri),
        folder,
        wishes=retraining.RetrainRequest(
            num_seeds=seeds,
            trial=trial,
            target=target,
            data_root=data_root,
            is_forced=force,
            is_promoted=promote,
        ),
        cluster=cluster_of(address, home, can_grow=autoscaling),
        on_done=lambda done, of: errors.print(f"[{done}/{of}] trained", markup=False),
    )
    output(verdict_json(verdict), as_json, lambda console: show_verdict(verdict, console))
    if not verdict.models:
        raise typer.Exit(UNREGISTERED)
    if verdict.curse is not None and verdict.curse.falls_out:
        raise typer.Exit(UNEXPECTED)


def export(
    study: NameArgument,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    target: Annotated[str, typer.Option(help="The target to export.")],
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    trial: Annotated[int | None, typer.Option(help="Another trial than the best.")] = None,
    data_root: DataRootOption = None,
) -> None:
    """Write one target of a trial as a Hugging Face folder."""
    from search.record.address import RecordAddress
    from search.winner.export import export_trial

    of_study = Home.of(home)
    address = RecordAddress.find(study, of_study, experiment=experiment, tracking_uri=tracking_uri)
    export_trial(address, folder, of_study, target=target, trial=trial, data_root=data_root)
    print(f"wrote {folder}")


def gc(
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    keep_best: Annotated[
        int | None,
        typer.Option(min=1, help="Of finished studies hold this many trials, not all of them."),
    ] = None,
    phase_store: Annotated[
        str | None,
        typer.Option(help="s3://BUCKET/PREFIX; else $TRANSFER_SEARCH_PHASE_STORE, else the home."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove phases that no trial or retrain in MLflow needs and that are older than a day."""
    from search.sweep import sweep

    place = Home.of(home)
    found = sweep(
        place,
        tracking_uri=tracking_uri or place.mlflow_uri(),
        phase_store=phase_store,
        keep_best=keep_best,
        dry_run=dry_run,
    )

    def show(console: Console) -> None:
        for name in found.removed:
            console.print(name, highlight=False, markup=False)
        verb = "would be removed" if dry_run else "removed"
        console.print(
            f"{len(found.removed)} {verb}, {found.num_bytes / 1e9:.2f} GB; held {found.num_held}, "
            f"younger than a day {found.num_young}",
            highlight=False,
        )

    output(found.to_dict(), as_json, show)


def tasks(as_json: JsonOption = False) -> None:
    """List the tasks: kind, languages, metric."""
    rows = {
        name: {
            "kind": task.kind.value,
            "dataset": task.dataset,
            "metric": task.metric,
            "labels": list(task.labels),
            "source_language": task.source_language,
            "languages": list(task.languages),
            "train_on": task.training_task if task.trains else None,
        }
        for name, task in TASKS.items()
    }

    def show(console: Console) -> None:
        table = Table("task", "kind", "metric", "source", "languages", box=None)
        for name, task in TASKS.items():
            languages = " ".join(task.languages)
            source = task.source_language if task.trains else "-"
            table.add_row(name, task.kind.value, task.metric, source, languages)
        console.print(table)

    output(rows, as_json, show)


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Look at Python, packages, disk, devices and MLflow; exit code 2 if anything is amiss."""
    from search.preflight import examine

    findings = list(examine(Home.of(home)))

    def show(console: Console) -> None:
        for finding in findings:
            mark = "ok  " if finding.is_good else "BAD "
            console.print(f"{mark} {finding.what}: {finding.detail}", markup=False, soft_wrap=True)

    found = {f.what: {"is_good": f.is_good, "detail": f.detail} for f in findings}
    output(found, as_json, show)
    if not all(finding.is_good for finding in findings):
        raise typer.Exit(2)


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"transfer-search {metadata.version('transfer-search')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Search intermediate tasks and learning rates for zero-shot cross-lingual transfer."""


# In the order of --help.
COMMANDS: tuple[tuple[str, tuple[Callable[..., None], ...]], ...] = (
    ("Search", (run, plan.plan, report, results.compare)),
    ("The winner", (retrain, results.evaluate, results.predict, export)),
    ("On a cluster", (cluster.submit, cluster.status, cluster.logs, cluster.cancel)),
    ("Data and upkeep", (tasks, pretrain.pretrain, gc, doctor)),
)
for _panel, _commands in COMMANDS:
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(k8s.app, name="k8s", rich_help_panel="On a cluster")
app.add_typer(data.app, name="data", rich_help_panel="Data and upkeep")
