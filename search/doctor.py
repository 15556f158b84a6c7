"""doctor: is this machine and this installation fit to run a search? One line a finding."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from search.home import Home
from search.tracking import prepare
from spaces.refusal import Refusal

OURS = ("search", "trainables", "spaces")
PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers", "datasets", "babel")
MIN_FREE_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """Something looked at: what was found, and how to mend it where it is not good."""

    what: str
    is_good: bool
    detail: str


def examine(home: Home) -> Iterator[Finding]:
    """Look at Python, the packages, the owners of our import names, disk and MLflow."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), f"{version} (needs 3.11 or newer)")
    for package in PACKAGES:
        yield _installed(package)
    for name in OURS:
        yield _owner(name)
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    yield Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free under {folder}")
    yield _devices()
    yield _mlflow(home)


def _installed(package: str) -> Finding:
    try:
        return Finding(package, True, metadata.version(package))
    except metadata.PackageNotFoundError:
        return Finding(package, False, "is not installed: pip install -e . -c constraints.txt")


def _owner(name: str) -> Finding:
    """Hugging Face owns a distribution that installs itself over our `spaces`."""
    owners = metadata.packages_distributions().get(name, [])
    foreign = sorted(set(owners) - {"transfer-search"})
    if foreign:
        mend = f"pip uninstall {' '.join(foreign)}, then install transfer-search again"
        return Finding(f"import {name}", False, f"belongs to {', '.join(foreign)} too: {mend}")
    return Finding(f"import {name}", True, "is ours")


def _devices() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("devices", True, ", ".join(names))
    return Finding("devices", True, "no GPU: trials train on the CPU, one thread each")


def _mlflow(home: Home) -> Finding:
    uri = home.mlflow_uri()
    try:
        prepare(uri)
    except Refusal as error:
        return Finding("mlflow", False, str(error))
    return Finding("mlflow", True, "answers")
