"""doctor: check whether this machine and this installation can run a search."""

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from search.addresses import check_reachable, sqlite_path
from search.home import Home, check_writable
from spaces.redaction import hide_address
from spaces.refusal import Refusal

OURS = ("search", "trainables", "spaces")
PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers", "datasets", "babel", "urielplus")
MIN_FREE_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, its outcome, and in the detail what was found or how to mend it."""

    what: str
    is_good: bool
    detail: str


def examine(home: Home) -> Iterator[Finding]:
    """Check Python, the packages, the owners of our import names, the disk, the home folder, the
    devices and MLflow. Nothing is written."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), f"{version} (needs 3.11 or newer)")
    for package in PACKAGES:
        yield _installed(package)
    for name in OURS:
        yield _owner(name)
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    yield Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free under {folder}")
    yield _writable(home)
    yield _devices()
    yield _record(home)


def _installed(package: str) -> Finding:
    try:
        return Finding(package, True, metadata.version(package))
    except metadata.PackageNotFoundError:
        return Finding(
            package, False, "is not installed; run `pip install -e . -c constraints.txt`"
        )


@cache
def _distributions() -> dict[str, list[str]]:
    """Import name -> the distributions that installed it."""
    return dict(metadata.packages_distributions())


def _owner(name: str) -> Finding:
    """Whether only this distribution installed an import name: a distribution of Hugging Face
    installs itself over our `spaces`."""
    owners = _distributions().get(name, [])
    foreign = sorted(set(owners) - {"transfer-search"})
    if foreign:
        mend = f"run `pip uninstall {' '.join(foreign)}`, then install transfer-search again"
        return Finding(f"import {name}", False, f"is also that of {', '.join(foreign)}; {mend}")
    return Finding(f"import {name}", True, "belongs to transfer-search")


def _devices() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("devices", True, ", ".join(names))
    return Finding("devices", True, "no GPU: trials train on the CPU, one thread each")


def _writable(home: Home) -> Finding:
    try:
        check_writable(home.path, "the home folder")
    except Refusal as error:
        return Finding("home", False, str(error))
    if home.path.exists():
        return Finding("home", True, f"{home.path} exists and can be written")
    return Finding("home", True, f"{home.path} does not exist yet; the first run creates it")


def _record(home: Home) -> Finding:
    """Whether the MLflow server answers, or its database file can be read or created."""
    uri = home.mlflow_uri()
    path, shown = sqlite_path(uri), hide_address(uri)
    try:
        if path is None:
            check_reachable(uri)
            return Finding("record", True, f"MLflow at {shown} answers")
        if path.exists():
            _read_database(path)
            return Finding("record", True, f"MLflow's database {path} can be read")
        check_writable(path.absolute().parent, "the folder of the MLflow database")
        return Finding("record", True, f"{path} does not exist yet; the first run creates it")
    except (Refusal, sqlite3.Error) as error:
        return Finding("record", False, f"{shown}: {error}")


def _read_database(path: Path) -> None:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT version_num FROM alembic_version").fetchall()
    finally:
        connection.close()


def check_places(home: Home, *, tracking_uri: str, phase_store: str | None) -> None:
    """Raise Refusal if the home folder cannot be written, or the phase store or MLflow cannot be
    reached; nothing is created.

    Args:
        tracking_uri: the address of MLflow.
        phase_store: the address of the object store for phases; None: the home folder alone.
    """
    check_writable(home.path, "the home folder")
    from trainables.store.stores import check_store  # it imports torch

    check_store(phase_store)
    path = sqlite_path(tracking_uri)
    if path is None:
        check_reachable(tracking_uri)
    else:
        check_writable(path.absolute().parent, "the folder of the MLflow database")
