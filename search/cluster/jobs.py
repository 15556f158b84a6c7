"""Submits, lists, follows and cancels studies as jobs of a Ray cluster, with Ray's Jobs API.

A job's name holds its study and the number of the attempt: `transfer-search.STUDY.2` continues the
work of the first attempt. The cluster refuses a name that exists already. So if two users submit
the same study at the same moment, one of them is refused.
"""

import asyncio
import http.client
import json
import logging
import os
import shlex
import stat
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from spaces.refusal import Refusal, first_line

PREFIX, STUDY_FILE = "transfer-search", "study.toml"
PROBE_SECONDS = 10.0
POLL_SECONDS = 0.5
GRACE_SECONDS = 60  # between the SIGTERM that ends a job and SIGKILL; Ray's own is 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt at a study on the cluster. Times are seconds since the epoch."""

    id: str
    study: str
    attempt: int
    state: str
    is_over: bool
    message: str
    started: float | None
    ended: float | None

    @classmethod
    def of(cls, details: JobDetails) -> "Job | None":
        """Convert Ray's description of a job; None if the job does not run a study."""
        name = details.submission_id or ""
        prefix, _, rest = name.partition(".")
        study, _, attempt = rest.rpartition(".")
        if prefix != PREFIX or not study or not (attempt.isascii() and attempt.isdigit()):
            return None
        return cls(
            id=name,
            study=study,
            attempt=int(attempt),
            state=details.status.value.lower(),
            is_over=JobStatus(details.status).is_terminal(),
            message=(details.message or "").strip(),
            started=details.start_time / 1000 if details.start_time else None,
            ended=details.end_time / 1000 if details.end_time else None,
        )


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the cluster's token; None if there is none.

    It is read from `file`, else from where Ray looks for it (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH).

    Raises Refusal if the file cannot be read, if other users may read it, or if it does not hold
    one word.
    """
    if file is None and environment.get("RAY_AUTH_TOKEN"):
        return environment["RAY_AUTH_TOKEN"].strip()
    if file is None and environment.get("RAY_AUTH_TOKEN_PATH"):
        file = Path(environment["RAY_AUTH_TOKEN_PATH"])
    if file is None:
        return None
    try:
        mode, token = file.stat().st_mode, file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII text"
        raise Refusal(f"token file {file} cannot be read: {reason}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise Refusal(f"other users may read token file {file}; run chmod 600 {file}")
    if not token or not token.isprintable() or " " in token:
        raise Refusal(f"token file {file} does not hold a token; expected one word on one line")
    return token


class Jobs:
    """The jobs of one cluster that run studies.

    Every method raises a Refusal of one line if the cluster does not answer or refuses the token.
    """

    def __init__(self, address: str, token: str | None) -> None:
        self.address = address.rstrip("/")
        if not self.address.startswith(("http://", "https://")):
            raise Refusal(
                f"{address!r} is not the address of Ray's Jobs API; expected http(s)://HOST:8265, "
                "the dashboard of the cluster's head"
            )
        if "@" in self.address:
            raise Refusal(
                "the address has a user name or password in it; expected http(s)://HOST:8265"
            )
        self._token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        _probe(self.address, headers)
        for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._asking():
            self._client = JobSubmissionClient(self.address, headers=headers)

    def all(self, study: str | None = None) -> list[Job]:
        """Return all attempts at a study, or at any study, in order of study and attempt."""
        with self._asking():
            listed = self._client.list_jobs()
        jobs = [job for details in listed if (job := Job.of(details)) is not None]
        jobs = [job for job in jobs if study is None or job.study == study]
        return sorted(jobs, key=lambda job: (job.study, job.attempt))

    def latest(self, study: str) -> Job:
        """Return the last attempt at a study. Raises Refusal if there is none."""
        jobs = self.all(study)
        if not jobs:
            studies = sorted({job.study for job in self.all()})
            listing = f"; it has jobs of {', '.join(studies)}" if studies else ""
            raise Refusal(f"the cluster at {self.address} has no job of study {study!r}{listing}")
        return jobs[-1]

    def submit(
        self, study: str, text: str, arguments: Sequence[str], *, command: str = "run"
    ) -> Job:
        """Submit a study as a job; a later attempt continues the study.

        Args:
            study: name of the study.
            text: content of the study file.
            arguments: arguments of the command, after the study file.
            command: command of the program that the job runs, such as `run` or `retrain`.

        Raises Refusal while another job of the study runs.
        """
        jobs = self.all(study)
        for job in jobs:
            if not job.is_over:
                raise Refusal(
                    f"study {study!r} is already {job.state} as job {job.id}; follow it with `logs "
                    f"{study} --follow`, or run `cancel {study}` first"
                )
        attempt = jobs[-1].attempt + 1 if jobs else 1
        with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder, self._asking():
            (Path(folder) / STUDY_FILE).write_text(text, encoding="utf-8")
            self._client.submit_job(
                entrypoint=entrypoint(arguments, command=command),
                submission_id=f"{PREFIX}.{study}.{attempt}",
                # After SIGTERM the driver saves its state and closes its record, which takes time.
                runtime_env={
                    "working_dir": folder,
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(GRACE_SECONDS)},
                },
                metadata={"study": study, "attempt": str(attempt)},
            )
        return self.latest(study)

    def logs(self, job: Job) -> str:
        """Return what the job has printed so far."""
        with self._asking():
            return str(self._client.get_job_logs(job.id))

    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Pass the job's output to `write` until the job is over; return the ended job."""

        async def copy() -> None:
            lines: AsyncIterator[str] = self._client.tail_job_logs(job.id)
            async for part in lines:
                write(part)

        with self._asking():
            asyncio.run(copy())
        return self.wait(job)

    def cancel(self, job: Job) -> Job:
        """Stop the job as Ctrl-C would, wait until it has ended, and return the ended job."""
        with self._asking():
            self._client.stop_job(job.id)
        return self.wait(job)

    def wait(self, job: Job) -> Job:
        """Wait until the job is over, at most GRACE_SECONDS + 10 s; return its last state."""
        deadline = time.monotonic() + GRACE_SECONDS + 10
        while not job.is_over and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            job = next(listed for listed in self.all(job.study) if listed.id == job.id)
        return job

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn the errors of Ray's client into a Refusal of one line, without the token."""
        try:
            yield
        except Refusal:
            raise
        except AuthenticationError:
            raise _access_refusal(self.address, 401 if self._token is None else 403) from None
        except (
            requests.RequestException,
            aiohttp.ClientError,
            ConnectionError,
            RuntimeError,
            ValueError,
        ) as error:
            line = first_line(error)
            if "Traceback" in line:  # a traceback of the head; its last line names the error
                line = str(error).strip().splitlines()[-1]
            line = line.replace(self._token, "***") if self._token else line
            raise Refusal(f"the Ray cluster at {self.address}: {line[:300]}") from error


def entrypoint(arguments: Sequence[str], *, command: str = "run") -> str:
    """Return the job's shell command; `exec` lets the stop signal reach the driver itself."""
    return shlex.join(["exec", "transfer-search", command, STUDY_FILE, *arguments])


def _probe(address: str, headers: Mapping[str, str]) -> None:
    """Refuse within PROBE_SECONDS if no Ray dashboard answers; Ray's client has no time limit."""
    try:
        request = urllib.request.Request(f"{address}/api/version", headers=dict(headers))
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
            is_ray = "ray_version" in json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise _access_refusal(address, error.code) from None
        is_ray = False
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, json.JSONDecodeError):
            is_ray = False
        else:
            reason = getattr(error, "reason", None) or error
            raise Refusal(
                f"the Ray cluster at {address} does not answer ({reason}); expected "
                "http(s)://HOST:8265, the dashboard of its head"
            ) from None
    if not is_ray:
        raise Refusal(
            f"the server at {address} is not a Ray dashboard; expected http(s)://HOST:8265"
        )


def _access_refusal(address: str, code: int) -> Refusal:
    if code == 401:
        return Refusal(
            f"the Ray cluster at {address} asks for a token (401); give it with --token-file FILE, "
            "RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN"
        )
    return Refusal(
        f"the Ray cluster at {address} refuses the token (403); expected the token of this cluster"
    )
