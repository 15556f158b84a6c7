"""The command line: parse, call one function, print. Heavy imports stand in their command."""

import sys
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from rich.console import Console

from search.callbacks import StartCallbacks
from search.cli import cluster, data, init, k8s, plan, pretrain, results, tasks, ui
from search.cli.cluster import AutoscalingOption, RayAddressOption
from search.cli.ending import INTERRUPTED, complain, end_of
from search.cli.options import (
    DataRootOption,
    EncoderOption,
    ExperimentOption,
    HomeOption,
    JsonOption,
    NameArgument,
    RenameOption,
    StudyArgument,
    TrackingOption,
    output,
    write_page,
)
from search.display.streams import prepare_streams
from search.home import Home
from spaces.redaction import hide_secrets
from spaces.refusal import Refusal

UNEXPECTED = 3  # the fresh seeds gain less than the search promised
UNREGISTERED = 4  # retrained, but no seed learned any target, so there is no model

app = typer.Typer(
    name="transfer-search",
    help="Search intermediate tasks and learning rates for zero-shot cross-lingual transfer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. A mistake, a full disk, a closed pipe and an interruption end it with
    one line on standard error and an exit code of their own (docs/reference/exit-codes.md)."""
    sys.excepthook = _show_traceback
    prepare_streams()
    ending = end_of(lambda: _run_command(sys.argv[1:] or ["--help"]))
    if ending.line is not None:
        complain(ending.line)
    sys.exit(ending.code)


def _run_command(arguments: list[str]) -> int | None:
    """Run one command and return its exit code. Raises Refusal for an argument that is not text."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise Refusal(f"argument {argument!r} is not text in the encoding of this terminal")
    code = app(arguments, standalone_mode=False)
    return code if isinstance(code, int) else None


def _show_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a fault of this program, without passwords and tokens."""
    lines = traceback.format_exception(kind, error, trace)
    print(hide_secrets("".join(lines)), end="", file=sys.stderr)


def run(
    study: StudyArgument,
    home: HomeOption = None,
    name: RenameOption = None,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    address: RayAddressOption = None,
    autoscaling: AutoscalingOption = False,
) -> None:
    """Run a study and print its result at a glance.

    If an earlier run of the study was interrupted, continue where it stopped.
    """
    from search import api
    from search.display.progress import SearchProgress, counting
    from search.glance.steps import Asked
    from search.report.forms import render_glance

    console, settings = (
        Console(),
        api.load_settings(study, name=name, data_root=data_root, encoder=encoder),
    )
    with (
        counting(console, "pretraining") as on_pretrained,
        counting(console, "tokenising") as on_prepared,
        counting(console, "checking rows") as on_checked,
        counting(console, "ranking options") as on_ranked,
        SearchProgress(console, num_trials=settings.budget.num_trials) as watch,
    ):
        try:
            finished = api.run(
                settings,
                home=home,
                address=address,
                autoscaling=autoscaling,
                watch=watch,
                callbacks=StartCallbacks(
                    on_pretrained=on_pretrained,
                    on_prepared=on_prepared,
                    on_checked=on_checked,
                    on_ranked=on_ranked,
                ),
            )
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
    render_glance(finished.record, console, Asked(study=name or study, home=home))
    if finished.ended_by:
        console.print(f"no further trial: {finished.ended_by}", highlight=False)
    ui.say_where(finished.address, finished.home, console)


def report(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    html: Annotated[
        Path | None, typer.Option(help="File to write the report to, as one HTML page.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Print every table and sentence.")] = False,
    force: Annotated[
        bool, typer.Option(help="Report scores of different protocols together.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the result of a study at a glance.

    The verdict comes first, then the best trials, who gains and loses, warnings, and the next
    command. Everything is read from MLflow.
    """
    from search import api
    from search.glance.steps import Asked
    from search.report.forms import render, render_glance, render_html, report_json

    place = {"home": home, "experiment": experiment, "tracking_uri": tracking_uri}
    read, asked = api.read(study, **place), Asked(study=study, **place)
    record = read.record
    if html is not None:
        write_page(html, render_html(record, force=force))

    def show(console: Console) -> None:
        if full:
            render(record, console, force=force)
        else:
            render_glance(record, console, asked, force=force)
        ui.say_where(read.address, read.home, console)

    output(report_json(record, force=force) if as_json else {}, as_json, show)


RetrainForceOption = Annotated[
    bool, typer.Option(help="Continue although the data or the code changed since the search.")
]
PromoteOption = Annotated[
    bool, typer.Option(help="Make the new models the champions without comparing them.")
]


def retrain(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, help="Fresh seeds to train; each trains the winner, its baseline and its twin."
        ),
    ] = 5,
    trial: Annotated[
        int | None, typer.Option(help="Number of the trial; default: the best trial.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Retrain the trial that is best for this target, for this target only."),
    ] = None,
    force: RetrainForceOption = False,
    promote: PromoteOption = False,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    address: RayAddressOption = None,
    autoscaling: AutoscalingOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the best trial and its baselines with fresh seeds, and register the models.

    Exit code 3: the fresh seeds gain less than promised. Exit code 4: no seed learned any target.
    """
    from search import api
    from search.cli.views import show_verdict
    from search.display.progress import counting
    from search.winner.verdict_json import verdict_json

    errors = Console(stderr=True)
    with counting(errors, "pretraining") as on_pretrained:
        verdict = api.retrain(
            study,
            seeds=seeds,
            trial=trial,
            target=target,
            force=force,
            promote=promote,
            data_root=data_root,
            encoder=encoder,
            home=home,
            experiment=experiment,
            tracking_uri=tracking_uri,
            address=address,
            autoscaling=autoscaling,
            on_done=lambda done, of: errors.print(f"[{done}/{of}] trained", markup=False),
            on_pretrained=on_pretrained,
        )
    output(verdict_json(verdict), as_json, lambda console: show_verdict(verdict, console))
    if not verdict.models:
        raise typer.Exit(UNREGISTERED)
    if verdict.curse is not None and verdict.curse.falls_out:
        raise typer.Exit(UNEXPECTED)


def export(
    study: NameArgument,
    folder: Annotated[Path, typer.Argument(help="New folder to write.")],
    target: Annotated[str, typer.Option(help="Target to export.")],
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    trial: Annotated[
        int | None, typer.Option(help="Number of the trial; default: the best trial.")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write it in ONNX too, checked on validation rows.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="With --onnx: also with weights of 8 bits.")
    ] = False,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Write one target of a trial as a Hugging Face model folder."""
    from search import api
    from search.display.progress import counting

    with counting(Console(stderr=True), "pretraining") as on_pretrained:
        api.export(
            study,
            folder,
            target=target,
            trial=trial,
            onnx=onnx,
            int8=int8,
            data_root=data_root,
            encoder=encoder,
            home=home,
            experiment=experiment,
            tracking_uri=tracking_uri,
            on_pretrained=on_pretrained,
        )
    print(f"wrote {folder}")


def gc(
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    keep_best: Annotated[
        int | None,
        typer.Option(
            min=1, help="Best trials to keep of each finished study; default: all trials."
        ),
    ] = None,
    phase_store: Annotated[
        str | None,
        typer.Option(
            help="Object store of the phases, s3://BUCKET/PREFIX; default: "
            "$TRANSFER_SEARCH_PHASE_STORE, else the home folder."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove phases that the record no longer needs.

    A phase is removed if no trial or retrain in MLflow needs it and it is older than a day.
    """
    from search.sweep import sweep

    home_folder = Home.of(home)
    swept = sweep(
        home_folder,
        tracking_uri=tracking_uri or home_folder.mlflow_uri(),
        phase_store=phase_store,
        keep_best=keep_best,
        dry_run=dry_run,
    )

    def show(console: Console) -> None:
        for name in swept.removed:
            console.print(name, highlight=False, markup=False)
        verb = "would be removed" if dry_run else "removed"
        console.print(
            f"{len(swept.removed)} {verb} ({swept.num_bytes / 1e9:.2f} GB); kept: "
            f"{swept.num_held} that the record needs, {swept.num_young} younger than a day",
            highlight=False,
        )

    output(swept, as_json, show)


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and this installation.

    Python, packages, disk, devices and MLflow are checked. Exit code 2 if a check fails.
    """
    from search.preflight import examine

    findings = list(examine(Home.of(home)))

    def show(console: Console) -> None:
        for finding in findings:
            mark = "ok  " if finding.is_good else "BAD "
            console.print(f"{mark} {finding.what}: {finding.detail}", markup=False, soft_wrap=True)

    content = {f.what: {"is_good": f.is_good, "detail": f.detail} for f in findings}
    output(content, as_json, show)
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
    ("Search", (init.init, run, plan.plan, report, ui.ui, results.compare)),
    ("The winner", (retrain, results.evaluate, results.predict, export)),
    ("On a cluster", (cluster.submit, cluster.status, cluster.logs, cluster.cancel)),
    ("Data and upkeep", (tasks.tasks, pretrain.pretrain, gc, doctor)),
)
for _panel, _commands in COMMANDS:
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(k8s.app, name="k8s", rich_help_panel="On a cluster")
app.add_typer(data.app, name="data", rich_help_panel="Data and upkeep")
