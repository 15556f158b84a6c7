"""The commands that use a Ray cluster: submit, status, logs, cancel, and `run --address`."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from search.addresses import secret_key, secret_line
from search.api import load_settings
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
    check_seeds,
    output,
)
from search.cli.ui import say_where
from search.home import Home
from spaces.json_values import JsonObject, to_json
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

if TYPE_CHECKING:
    from search.cluster.jobs import Job, Jobs
    from search.record.address import ExperimentAddress, RecordAddress
    from search.report.status import StudyStatus

FOLLOW_SECONDS = 5.0
FAILED, INTERRUPTED = 1, 130

RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_ADDRESS",
        help="Ray cluster to run on, HOST:PORT or `auto`; default (or `local`): start a local Ray.",
    ),
]
AutoscalingOption = Annotated[
    bool,
    typer.Option(
        "--autoscaling",
        envvar="TRANSFER_SEARCH_AUTOSCALING",
        help="Run max_concurrent_trials of the study: the cluster adds nodes on demand.",
    ),
]
JobsAddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        help="Address of Ray's dashboard, http(s)://HOST:8265.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help="File with the cluster's token, mode 0600; default: $RAY_AUTH_TOKEN(_PATH)."),
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Continue until the study is over.")
]


def submit(
    study: StudyArgument,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    home: Annotated[
        str | None,
        typer.Option(
            help="Home folder on the cluster, shared by all nodes; default: the cluster's setting."
        ),
    ] = None,
    name: RenameOption = None,
    data_root: DataRootOption = None,
    encoder: EncoderOption = None,
    autoscaling: AutoscalingOption = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Retrain the best trial instead of searching.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fresh seeds of --retrain.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a study on a Ray cluster as a job.

    With --retrain, retrain its best trial instead. Submit the study again to continue it.
    """
    from search.planning.plan import check_study
    from spaces.study_file.study_text import whole_text

    settings = load_settings(study, name=name, data_root=data_root, encoder=encoder)
    check_study(settings)
    if home is not None and not Path(home).is_absolute():
        raise Refusal(f"--home {home!r} is not a full path; name a folder of the cluster's nodes")
    if retrain and name is not None:
        raise Refusal("--retrain uses the name in the study file; leave --name out")
    check_seeds(seeds, retrain=retrain)
    text = whole_text(study, rows_folder=settings.study.rows_folder)
    _refuse_password(settings, text)
    given = {"--home": home, "--name": name, "--data-root": settings.study.data_root}
    given["--encoder"] = settings.study.encoder_folder
    given["--seeds"] = None if seeds is None else str(seeds)
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    flags = ["--address=auto", *(["--autoscaling"] if autoscaling else [])]
    jobs = _jobs(address, token_file)
    command = "retrain" if retrain else "run"
    job = jobs.submit(settings.study.name, text, [*flags, *options], command=command)
    shown = (
        f"submitted as job {job.id}; `logs {job.study} --follow` shows its output, "
        f"`cancel {job.study}` stops it"
    )
    output(job, as_json, lambda console: _print(console, shown))


def _refuse_password(settings: StudySettings, text: str) -> None:
    """Refuse a password in the study file, which stays on the cluster as long as the cluster
    exists."""
    key, line = secret_key(settings), secret_line(text)
    if key is not None or line is not None:
        place = f"tracking.{key}" if key else f"line {line} of the study file"
        raise Refusal(
            f"{place} has a password in it, and everyone with access to the cluster can "
            "read a job's files; leave the password out and set it in the environment of the "
            "cluster's head (docs/how-to/ray-cluster.md)"
        )


def status(
    study: Annotated[
        str | None, typer.Argument(help="Name or TOML file of a study; default: all.")
    ] = None,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the state of a study.

    The state is read from MLflow; with --address, that of the job on the cluster is shown too.
    """
    from search.record.address import RecordAddress

    jobs = _jobs(address, token_file) if address else None
    record = RecordAddress.find(
        study or "", Home.of(home), experiment=experiment, tracking_uri=tracking_uri
    )
    if study is None:
        _show_all(record.experiment, jobs, as_json)
        return
    shown: StudyView | None = None
    while True:
        view = StudyView.at(record, jobs)
        if view != shown:
            output(view.to_dict(), as_json, lambda console: _print(console, *shown_lines(view)))  # noqa: B023
        shown = view
        if not follow or view.is_over:
            break
        time.sleep(FOLLOW_SECONDS)
    if view.standing is not None and not as_json:
        say_where(record, Home.of(home), Console())


def logs(
    study: NameArgument,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    follow: FollowOption = False,
) -> None:
    """Print the output of the study's last job."""
    jobs = _jobs(address, token_file)
    job = jobs.latest(_name(study))
    if not follow:
        print(jobs.logs(job), end="")
        return
    try:
        ended = jobs.follow(job, lambda part: print(part, end="", flush=True))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    _print(Console(stderr=True), f"job {ended.id}: {ended.state}")
    if ended.state == "failed":
        raise typer.Exit(FAILED)


def cancel(
    study: NameArgument, address: JobsAddressOption = None, token_file: TokenFileOption = None
) -> None:
    """Stop the study's job as Ctrl-C would.

    `submit` continues the study later.
    """
    jobs = _jobs(address, token_file)
    job = jobs.latest(_name(study))
    if job.is_over:
        raise Refusal(f"job {job.id} is already {job.state}; there is nothing to cancel")
    ended = jobs.cancel(job)
    if not ended.is_over:
        raise Refusal(f"job {job.id} was asked to stop but is still {ended.state}; see its logs")
    print(f"job {ended.id}: {ended.state}; `submit` continues the study")


@dataclass(frozen=True, slots=True)
class StudyView:
    """The state of a study at a moment: from its record, and its last job on the cluster. `missing`
    says why there is no record."""

    standing: "StudyStatus | None"
    job: "Job | None"
    missing: str

    @classmethod
    def at(cls, address: "RecordAddress", jobs: "Jobs | None") -> "StudyView":
        from search.addresses import check_reachable
        from search.record.reader import read_study
        from search.report.status import StudyStatus

        of_study = jobs.all(address.study) if jobs else []
        job = of_study[-1] if of_study else None
        try:
            check_reachable(address.tracking_uri)
            return cls(StudyStatus.of(read_study(address)), job, "")
        except Refusal as refusal:
            if job is None:
                raise
            return cls(None, job, str(refusal))  # the record is the cluster's own

    @property
    def is_over(self) -> bool:
        if self.job is not None:
            return self.job.is_over
        return self.standing is not None and self.standing.state == "finished"

    def to_dict(self) -> JsonObject:
        """As JSON values: the state that the record has, and the job."""
        return to_json({"standing": self.standing, "job": self.job})


def shown_lines(view: StudyView) -> list[str]:
    """The lines that `status` prints."""
    lines = view.standing.lines() if view.standing else [f"no record here: {view.missing}"]
    if view.job is None:
        return lines
    job, ended = view.job, ""
    if job.state == "failed" and job.message:
        ended = f": {job.message.splitlines()[-1]}"
    since = f", since {_time(job.started)}" if job.started else ""
    return [*lines, f"job {job.id}: {job.state}{since}{ended}"]


def _show_all(experiment: "ExperimentAddress", jobs: "Jobs | None", as_json: bool) -> None:
    """One line for each study of the experiment, then one line for each job of the cluster."""
    from search.addresses import check_reachable
    from search.record.reader import list_studies

    of_cluster = jobs.all() if jobs else []
    try:
        check_reachable(experiment.tracking_uri)
        listed = list_studies(experiment)
    except Refusal:
        if jobs is None:
            raise
        listed = ()
    content = {
        "studies": [{**asdict(row), "started": row.started.isoformat()} for row in listed],
        "jobs": of_cluster,
    }

    def show(console: Console) -> None:
        table = Table("study", "state", "best trial", "started", box=None)
        for row in listed:
            best = "-" if row.best_trial is None else str(row.best_trial)
            table.add_row(row.name, row.state, best, _time(row.started.timestamp()))
        console.print(table)
        for job in of_cluster:
            _print(console, f"job {job.id}: {job.state}")

    output(content, as_json, show)


def _jobs(address: str | None, token_file: Path | None) -> "Jobs":
    from search.cluster.jobs import Jobs, read_token

    if not address:
        raise Refusal(
            "no cluster is named; set --address http(s)://HOST:8265 or RAY_API_SERVER_ADDRESS"
        )
    return Jobs(address, read_token(token_file))


def _name(study: str) -> str:
    from search.record.address import RecordAddress

    return RecordAddress.find(study, Home.of(None)).study


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
