"""The command `ui`: MLflow's own UI, opened at the trials of a study."""

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from search.addresses import sqlite_path
from search.cli.options import ExperimentOption, HomeOption, NameArgument, TrackingOption
from search.home import Home
from spaces.refusal import Refusal

if TYPE_CHECKING:
    from search.mlflow_view.local_server import Gate
    from search.record.address import RecordAddress


def ui(
    study: NameArgument,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; default: a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the link; open no browser.")
    ] = False,
) -> None:
    """Open MLflow's UI at the trials of a study, the best first.

    For a home folder, MLflow's server runs on this machine until Ctrl-C. For a study on a server,
    nothing is started.
    """
    from search.mlflow_view.local_server import serve
    from search.record.address import RecordAddress
    from search.trials_page import find_page

    folder = Home.of(home)
    address = RecordAddress.find(study, folder, experiment=experiment, tracking_uri=tracking_uri)
    page = find_page(address, save=True)
    if sqlite_path(address.tracking_uri) is None:
        if port:
            raise Refusal(f"--port {port} is of no use: the study is on a server that runs already")
        link = page.link(address.tracking_uri)
        _show(link, None if no_browser else link)
        return

    def show(server: str, gate: "Gate") -> None:
        printed, once = (f"{server}/?token={t}{page.fragment()}" for t in (gate.token, gate.once))
        _show(printed, None if no_browser else once)
        Console(stderr=True).print("MLflow runs until Ctrl-C", highlight=False)

    with suppress(KeyboardInterrupt):
        serve(address.tracking_uri, port=port, on_ready=show)


def _show(link: str, opened: str | None) -> None:
    """Print a link, alone on its line, and open it or another one in the browser."""
    print(link, flush=True)
    if opened is not None:
        with suppress(OSError):  # a machine without a browser
            typer.launch(opened)


def say_where(address: "RecordAddress", home: Home, console: Console) -> None:
    """Print where MLflow shows the study's trials: the link, or the command that starts MLflow's
    server for a home folder. Nothing is printed where MLflow does not answer."""
    from search.trials_page import find_page

    if sqlite_path(address.tracking_uri) is not None:
        where = shlex.join(["transfer-search", "ui", address.study, *_named(address, home)])
    else:
        try:
            where = find_page(address).link(address.tracking_uri)
        except Refusal:
            return
    console.print(f"All trials in MLflow: {where}", highlight=False, markup=False, soft_wrap=True)


def _named(address: "RecordAddress", home: Home) -> list[str]:
    """The options with which `ui` finds this record; those that have their default are left out."""
    from search.record.address import ExperimentAddress

    usual = ExperimentAddress.of(None, home)
    options = {
        "--home": None if home.is_default else str(home.path),
        "--experiment": None if address.experiment.name == usual.name else address.experiment.name,
        "--tracking-uri": None
        if address.tracking_uri == usual.tracking_uri
        else address.tracking_uri,
    }
    return [word for name, value in options.items() if value for word in (name, value)]
