"""The Kubernetes objects of a study: the files in templates/ray with its name, sizes and image.

No text is put together here. Files are parsed, values are set, and what comes of it is dumped, so
that whatever a study file says stays one value.
"""

import copy
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import yaml

from search.addresses import secret_key
from spaces.refusal import Refusal
from spaces.study import StudySettings, parse_text

Manifest = dict[str, Any]

TEMPLATE_NAME, TEMPLATE_IMAGE = "interactive", "transfer-search"
DEV_IMAGE = f"{TEMPLATE_IMAGE}:dev"
IMAGE_KEYS = ("image", "value")  # of a container, and of what tells it which image it is
STUDY_FOLDER, STUDY_KEY = "/etc/transfer-search", "study.toml"
WORK = "/work"  # where the volume of that name is mounted
GPU = "nvidia.com/gpu"

MAX_NAME = 39  # KubeRay takes 47 for a RayJob, and `-retrain` has its place in them
MAX_STUDY_BYTES = 1_000_000  # etcd takes a MiB for the whole ConfigMap
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035: what KubeRay asks of its names
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}(@sha256:[0-9a-f]{64})?")


class Overlay(StrEnum):
    """Which cluster it is for; `base` has neither GPUs nor one node alone."""

    BASE = "base"
    GPU = "gpu"
    DEV = "dev"  # kind, minikube


class Command(StrEnum):
    """What the job runs: a command of the command line that takes a study file."""

    RUN = "run"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class WorkerPods:
    """Pods of workers: one for each worker of a trial, so that a pod is what a trial asks for."""

    cpus: int
    gpus: int
    gib: int
    min_pods: int
    max_pods: int

    @classmethod
    def of(cls, settings: StudySettings) -> "WorkerPods":
        """One trial's pods are there from the start. "As many trials as fit" has no meaning where
        nodes are added as they are asked for: there it is one."""
        asked = settings.resources
        num_trials = min(asked.max_concurrent_trials or 1, settings.budget.num_trials)
        return cls(
            cpus=asked.cpus_per_worker,
            gpus=asked.gpus_per_worker,
            gib=asked.gib_per_worker,
            min_pods=asked.num_workers,
            max_pods=asked.num_workers * num_trials,
        )


def study_objects(
    text: str,
    *,
    command: Command = Command.RUN,
    overlay: Overlay | None = None,
    image: str | None = None,
    namespace: str = "transfer-search",
    num_seeds: int | None = None,
    where: str = "study",
) -> list[Manifest]:
    """What `kubectl apply` needs to run a study, given the text of its file.

    Args:
        overlay: None is `gpu` for a study with GPUs, else `base`.
        image: NAME@sha256:DIGEST; for `dev` a tag will do. None is a placeholder, to be replaced by
            kustomize's `images`.
        num_seeds: of a retrain; None: as many as it has by itself.
        where: how to call the study file in a refusal.

    Raises:
        Refusal: if the study cannot run on Kubernetes, or a name is none there.
    """
    settings = StudySettings.parse(parse_text(text, where), file=where)
    shape = WorkerPods.of(settings)
    overlay = overlay or (Overlay.GPU if shape.gpus else Overlay.BASE)
    _check_study(settings, text)
    _check_overlay(settings, overlay)
    _check_target(image, namespace, overlay)
    name = settings.study.name + ("" if command is Command.RUN else f"-{command.value}")
    image = image or (DEV_IMAGE if overlay is Overlay.DEV else TEMPLATE_IMAGE)
    study = _config_map(name, text)
    filled = _filled([*_cluster_objects(overlay, shape), *_read("ray-job.yaml")], name, image)
    (cluster,) = [one for one in filled if one["kind"] == "RayCluster"]
    (job,) = [one for one in filled if one["kind"] == "RayJob"]
    job["spec"]["entrypoint"] = _entrypoint(command, num_seeds)
    job["spec"]["rayClusterSpec"] = _with_study(cluster["spec"], study["metadata"]["name"])
    objects = [study, *(one for one in filled if one is not cluster)]
    for one in objects:
        one["metadata"]["namespace"] = namespace
    return objects


def ray_objects(overlay: Overlay) -> list[Manifest]:
    """The interactive Ray cluster and what belongs to it, as kustomize builds it for an overlay."""
    (kustomization,) = _read("kustomization.yaml")
    found = [one for name in kustomization["resources"] for one in _read(name)]
    if overlay is not Overlay.BASE:
        (component,) = _read(f"{overlay.value}/kustomization.yaml")
        for patch in component["patches"]:
            for one in found:
                if one["kind"] == patch["target"]["kind"]:
                    apply_patch(one, yaml.safe_load(patch["patch"]))
    return found


def apply_patch(manifest: Manifest, operations: Iterable[dict[str, Any]]) -> None:
    """Change a manifest by a JSON patch (RFC 6902), so far as our overlays use it: `add` and
    `replace` of keys, and `add` to the end of a list."""
    for operation in operations:
        if operation["op"] not in ("add", "replace"):
            raise ValueError(f"{operation['op']!r} is no operation that is known here")
        parts = operation["path"].split("/")[1:]
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in parts)
        place: Any = manifest
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if last == "-":
            place.append(copy.deepcopy(operation["value"]))
        else:
            place[last] = copy.deepcopy(operation["value"])


def to_yaml(objects: Sequence[Manifest]) -> str:
    """As one stream of YAML documents."""
    return yaml.dump_all(
        objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True
    )


class _Dumper(yaml.SafeDumper):
    """Text of several lines in block form, where all readers of YAML agree about its characters."""

    def represent_text(self, text: str) -> yaml.Node:
        if all(character == "\n" or character.isprintable() for character in text):
            style = "|" if "\n" in text else None
        else:
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def _read(name: str) -> list[Manifest]:
    file = resources.files("search") / "templates" / "ray" / name
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def _cluster_objects(overlay: Overlay, shape: WorkerPods) -> list[Manifest]:
    """Those of the interactive cluster, with the workers that a study takes."""
    found = ray_objects(overlay)
    (cluster,) = [one for one in found if one["kind"] == "RayCluster"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    group["replicas"] = group["minReplicas"] = shape.min_pods
    group["maxReplicas"] = shape.max_pods
    group["rayStartParams"] |= {"num-cpus": str(shape.cpus), "num-gpus": str(shape.gpus)}
    sizes = {"cpu": str(shape.cpus), "memory": f"{shape.gib}Gi"}
    if shape.gpus:
        sizes[GPU] = str(shape.gpus)
    given = group["template"]["spec"]["containers"][0]["resources"]
    given["limits"] |= sizes
    if overlay is not Overlay.DEV:  # there, what is asked for is little, whatever may be taken
        given["requests"] |= sizes
    return found


def _config_map(name: str, text: str) -> Manifest:
    labels = {
        "app.kubernetes.io/part-of": "transfer-search",
        "app.kubernetes.io/component": "study",
        "app.kubernetes.io/instance": name,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-study", "labels": labels},
        "data": {STUDY_KEY: text},
    }


def _with_study(cluster: Manifest, config_map: str) -> Manifest:
    """A cluster's spec whose head, where the driver runs, finds the study file."""
    pod = cluster["headGroupSpec"]["template"]["spec"]
    pod["volumes"].append({"name": "study", "configMap": {"name": config_map}})
    mount = {"name": "study", "mountPath": STUDY_FOLDER, "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)
    return cluster


def _entrypoint(command: Command, num_seeds: int | None) -> str:
    """Fixed words and a number. KubeRay's submitter hands them through two shells, the second
    after the first has taken the quotes away: no word that needs quotes may ever stand here."""
    words = ["transfer-search", command.value, f"{STUDY_FOLDER}/{STUDY_KEY}"]
    words += [] if num_seeds is None else [f"--seeds={num_seeds:d}"]
    line = shlex.join(words)
    if line != " ".join(words):
        raise ValueError(f"{line} has a word that needs quotes")
    return line


def _filled(value: Any, name: str, image: str) -> Any:
    """The same with the template's name and image replaced, wherever they stand as values."""
    if isinstance(value, dict):
        return {
            key: image
            if part == TEMPLATE_IMAGE and key in IMAGE_KEYS
            else _filled(part, name, image)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_filled(part, name, image) for part in value]
    if value == TEMPLATE_NAME or (isinstance(value, str) and value.startswith(f"{TEMPLATE_NAME}-")):
        return name + value.removeprefix(TEMPLATE_NAME)
    return value


def _check_study(settings: StudySettings, text: str) -> None:
    """Refuse what cannot be named on Kubernetes, is not there in a pod, or is a secret."""
    name = settings.study.name
    is_taken = name == TEMPLATE_NAME or name.endswith(f"-{Command.RETRAIN.value}")
    if not NAME.fullmatch(name) or len(name) > MAX_NAME or is_taken:
        raise Refusal(
            f"study name {name!r} cannot name Kubernetes objects: expected at most {MAX_NAME} "
            "lower-case letters, digits and '-', a letter first, no '-' last, and neither "
            f"{TEMPLATE_NAME!r} nor '...-{Command.RETRAIN.value}'; change it in [study]"
        )
    if len(text.encode()) > MAX_STUDY_BYTES:
        raise Refusal(
            f"the study file has {len(text.encode()):,} bytes, and a ConfigMap holds "
            f"{MAX_STUDY_BYTES:,}; shorten it"
        )
    key = secret_key(settings)
    if key is not None:
        raise Refusal(
            f"tracking.{key} has a password in it, and a ConfigMap is no place for one; leave "
            "it out and give it to the head's pod by a Secret (docs/how-to/kubernetes.md)"
        )
    _check_folder("data_root", settings.study.data_root)
    if settings.study.encoder.startswith(("/", ".", "~")):
        _check_folder("encoder", settings.study.encoder)


def _check_folder(key: str, folder: str | None) -> None:
    if folder and not (folder.startswith(f"{WORK}/") and ".." not in folder.split("/")):
        raise Refusal(
            f"study.{key} is {folder!r}, which no pod has; expected a folder below {WORK}, where "
            "the volume `work` is"
        )


def _check_overlay(settings: StudySettings, overlay: Overlay) -> None:
    gpus = settings.resources.gpus_per_worker
    if bool(gpus) != (overlay is Overlay.GPU):
        mend = "leave --overlay out, or change gpus_per_worker in [resources]"
        raise Refusal(
            f"study {settings.study.name!r} takes {gpus} GPUs a worker, and overlay "
            f"{overlay.value!r} is for studies {'without' if gpus else 'with'} them; {mend}"
        )


def _check_target(image: str | None, namespace: str, overlay: Overlay) -> None:
    if not LABEL.fullmatch(namespace):
        raise Refusal(
            f"--namespace {namespace!r} cannot name a namespace: expected at most 63 lower-case "
            "letters, digits and '-', a letter or digit first and last"
        )
    if image is None:
        return
    is_pinned = "@sha256:" in image or overlay is Overlay.DEV
    if not IMAGE.fullmatch(image) or not is_pinned:
        raise Refusal(
            f"--image {image!r} is not pinned: expected NAME@sha256: and 64 digits of its digest "
            "(overlay dev takes a tag)"
        )
