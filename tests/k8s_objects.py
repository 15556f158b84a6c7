"""The objects of k8s/ and of rendered studies, as tests look at them.

Nothing here asks a cluster. kustomize is kubectl's own; where kubectl is missing, what needs it is
skipped and says so.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.cluster.manifests import Command, Manifest, Overlay, study_objects
from spaces.study_file.study_text import read_text

ROOT = Path(__file__).parent.parent
COMPONENTS = ("external-postgres", "hub-egress", "s3-artifacts")  # of k8s/components
BUILT = ("base", "overlays/gpu", "overlays/dev", "components")
RENDERED = tuple(
    (study, command, overlay)
    for study, overlays in (("pocket", (Overlay.BASE, Overlay.DEV)), ("xtreme", (Overlay.GPU,)))
    for overlay in overlays
    for command in Command
)


@cache
def build(name: str) -> tuple[Manifest, ...]:
    """What kustomize makes of a folder of k8s/; of `components`, all of them on the base."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here, whose kustomize builds the overlays")
    if name != "components":
        return _kustomize(ROOT / "k8s" / name)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        to_root = "/".join([".."] * (len(folder.parts) - 1)) + str(ROOT)
        content = {
            "resources": [f"{to_root}/k8s/base"],
            "components": [
                *(f"{to_root}/k8s/components/{component}" for component in COMPONENTS),
                f"{to_root}/search/templates/ray/gcs-fault-tolerance",
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return _kustomize(folder)


def _kustomize(folder: Path) -> tuple[Manifest, ...]:
    command = ["kubectl", "kustomize", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not built.stderr, built.stderr  # it warns of deprecated fields there
    return tuple(yaml.load_all(built.stdout, Loader=yaml.CSafeLoader))


@cache
def render(study: str, command: Command, overlay: Overlay) -> tuple[Manifest, ...]:
    return tuple(study_objects(read_text(study), command=command, overlay=overlay))


def everything() -> list[Manifest]:
    """What the service installs, and two studies beside each other, searched and retrained."""
    rendered = [one for place in RENDERED for one in render(*place) if place[2] is not Overlay.DEV]
    return [*build("overlays/gpu"), *rendered]


def pods(found: Manifest) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(labels, spec) of every pod template in an object."""
    for template in _templates(found):
        yield template["metadata"]["labels"], template["spec"]


def _templates(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        spec = value.get("spec")
        if "metadata" in value and isinstance(spec, dict) and "containers" in spec:
            yield value
            return
        for part in value.values():
            yield from _templates(part)
    elif isinstance(value, list):
        for part in value:
            yield from _templates(part)


def all_pods(objects: list[Manifest]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = [pod for one in objects for pod in pods(one)]
    assert len(found) == 2 + 2 + 4 * 3  # MLflow, PostgreSQL; the interactive cluster; four jobs
    return found


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    by_label = selector.get("matchLabels", {}).items()
    by_expression = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in by_expression)
    return all(labels.get(key) == value for key, value in by_label) and all(
        labels.get(expression["key"]) in expression["values"] for expression in by_expression
    )


def ports(pod: dict[str, Any]) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for c in pod["containers"] for p in c.get("ports", [])}
