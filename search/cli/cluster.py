"""The commands that speak to a Ray cluster: submit, status, logs, cancel, and `run --address`."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from search.addresses import secret_key
from search.api import load_settings
from search.cli.options import (
    DataRootOption,
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
from search.home import Home
from spaces.refusal import Refusal
from spaces.study import StudySettings

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
        help="A Ray cluster to run on, HOST:PORT or `auto`; else (or `local`) one of its own.",
    ),
]
AutoscalingOption = Annotated[
    bool,
    typer.Option(
        "--autoscaling",
        envvar="TRANSFER_SEARCH_AUTOSCALING",
        help="The cluster adds nodes on demand: run max_concurrent_trials of the study.",
    ),
]
JobsAddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        help="Ray's dashboard, http(s)://HOST:8265.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help="The cluster's token, mode 0600; else $RAY_AUTH_TOKEN(_PATH)."),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Until it is over.")]


def submit(
    study: StudyArgument,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    home: Annotated[
        str | None,
        typer.Option(help="On the cluster: a folder of all its nodes; else its own setting."),
    ] = None,
    name: RenameOption = None,
    data_root: DataRootOption = None,
    autoscaling: AutoscalingOption = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Retrain its best trial instead of searching.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Of `--retrain`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a study on a Ray cluster as a job, or retrain its winner. Submit again to go on."""
    from search.planning.plan import check_study
    from spaces.study import read_text

    settings = load_settings(study, name=name, data_root=data_root)
    check_study(settings)
    if home is not None and not Path(home).is_absolute():
        raise Refusal(f"--home {home!r} is a folder of the cluster's nodes; give its whole path")
    if retrain and name is not None:
        raise Refusal("--retrain takes the study as its file names it; leave --name out")
    check_seeds(seeds, retrain=retrain)
    _refuse_password(settings)
    given = {"--home": home, "--name": name, "--data-root": settings.study.data_root}
    given["--seeds"] = None if seeds is None else str(seeds)
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    flags = ["--address=auto", *(["--autoscaling"] if autoscaling else [])]
    jobs = _jobs(address, token_file)
    command = "retrain" if retrain else "run"
    job = jobs.submit(settings.study.name, read_text(study), [*flags, *options], command=command)
    text = f"submitted as job {job.id}: `logs {job.study} --follow`, `cancel {job.study}`"
    output(asdict(job), as_json, lambda console: _print(console, text))


def _refuse_password(settings: StudySettings) -> None:
    """A job's study file lies on the cluster as long as the cluster does."""
    key = secret_key(settings)
    if key is not None:
        raise Refusal(
            f"tracking.{key} has a password in it, and a job's files are read by whoever may look "
            "at the cluster; leave it out and give it to the head's environment "
            "(docs/how-to/ray-cluster.md)"
        )


def status(
    study: Annotated[str | None, typer.Argument(help="A study; else all that are known.")] = None,
    home: HomeOption = None,
    experiment: ExperimentOption = None,
    tracking_uri: TrackingOption = None,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how a study stands: from its record, with --address its job on the cluster too."""
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
        look = StudyView.at(record, jobs)
        if look != shown:
            output(look.to_dict(), as_json, lambda console: _print(console, *shown_lines(look)))  # noqa: B023
        shown = look
        if not follow or look.is_over:
            return
        time.sleep(FOLLOW_SECONDS)


def logs(
    study: NameArgument,
    address: JobsAddressOption = None,
    token_file: TokenFileOption = None,
    follow: FollowOption = False,
) -> None:
    """Print what the study's last job printed; with --follow, until it is over."""
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
    """Stop the study's job as Ctrl-C would; `submit` goes on from there."""
    jobs = _jobs(address, token_file)
    job = jobs.latest(_name(study))
    if job.is_over:
        raise Refusal(f"job {job.id} is {job.state} already: there is nothing to cancel")
    ended = jobs.cancel(job)
    if not ended.is_over:
        raise Refusal(f"job {job.id} was told to stop and is still {ended.state}: look at its logs")
    print(f"job {ended.id}: {ended.state}; `submit` goes on from there")


@dataclass(frozen=True, slots=True)
class StudyView:
    """What there is to say of a study at a moment; `missing` says why there is no record."""

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

    def to_dict(self) -> dict[str, Any]:
        standing = self.standing.to_dict() if self.standing else None
        return {"standing": standing, "job": asdict(self.job) if self.job else None}


def shown_lines(look: StudyView) -> list[str]:
    """As `status` prints it."""
    lines = look.standing.lines() if look.standing else [f"no record here: {look.missing}"]
    if look.job is None:
        return lines
    job, ended = look.job, ""
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
        "jobs": [asdict(job) for job in of_cluster],
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
        raise Refusal("which cluster? --address http(s)://HOST:8265, or RAY_API_SERVER_ADDRESS")
    return Jobs(address, read_token(token_file))


def _name(study: str) -> str:
    from search.record.address import RecordAddress

    return RecordAddress.find(study, Home.of(None)).study


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
