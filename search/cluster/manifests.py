"""Builds the Kubernetes objects of a study from templates/ray, with its name, sizes and image.

The YAML is never built from strings. The files are parsed, values are set, and the result is
dumped, so a value from a study file stays one value, whatever it contains.
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

from search.addresses import secret_key, secret_line
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import parse_text

Manifest = dict[str, Any]

TEMPLATE_NAME, TEMPLATE_IMAGE = "interactive", "transfer-search"
DEV_IMAGE = f"{TEMPLATE_IMAGE}:dev"
IMAGE_KEYS = ("image", "value")  # of a container, and of its variable that names the image
STUDY_FOLDER, STUDY_KEY = "/etc/transfer-search", "study.toml"
WORK = "/work"  # where the volume of that name is mounted
GPU = "nvidia.com/gpu"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"  # which Kubernetes gives to every namespace

MAX_NAME = 39  # KubeRay allows 47 characters for a RayJob; `-retrain` takes 8 of them
MAX_STUDY_BYTES = 1_000_000  # etcd allows 1 MiB for the whole ConfigMap
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035, which KubeRay requires of names
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}(@sha256:[0-9a-f]{64})?")


class Overlay(StrEnum):
    """The kind of cluster: `base` has several nodes without GPUs, `gpu` adds GPUs, `dev` has one
    node."""

    BASE = "base"
    GPU = "gpu"
    DEV = "dev"  # kind, minikube


class Command(StrEnum):
    """The command that the job runs; it takes a study file."""

    RUN = "run"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class WorkerPods:
    """The worker pods of a study.

    There is one pod for each worker of a trial, so a pod has exactly the size that a worker needs.

    Attributes:
        cpus: CPUs per pod.
        gpus: GPUs per pod.
        gib: memory per pod in GiB.
        min_pods: pods that run from the start.
        max_pods: pods that the autoscaler may run at once.
    """

    cpus: int
    gpus: int
    gib: int
    min_pods: int
    max_pods: int

    @classmethod
    def of(cls, settings: StudySettings) -> "WorkerPods":
        """Compute the pods for a study; those of one trial run from the start.

        Without `max_concurrent_trials` one trial runs at a time. "As many trials as fit" would have
        no meaning on a cluster that adds nodes on demand.
        """
        requested = settings.resources
        num_trials = min(requested.max_concurrent_trials or 1, settings.budget.num_trials)
        return cls(
            cpus=requested.cpus_per_worker,
            gpus=requested.gpus_per_worker,
            gib=requested.gib_per_worker,
            min_pods=requested.num_workers,
            max_pods=requested.num_workers * num_trials,
        )


def study_objects(
    text: str,
    *,
    command: Command = Command.RUN,
    overlay: Overlay | None = None,
    image: str | None = None,
    namespace: str = "transfer-search",
    operator_namespace: str = "default",
    num_seeds: int | None = None,
    where: str = "study",
) -> list[Manifest]:
    """Return the objects that `kubectl apply` needs to run a study.

    Args:
        text: content of the study file.
        command: command that the job runs.
        overlay: kind of cluster. None means `gpu` for a study with GPUs, else `base`.
        image: NAME@sha256:DIGEST; `dev` also takes a tag. None leaves a placeholder that
            kustomize's `images` can replace.
        namespace: namespace of all objects.
        operator_namespace: namespace of KubeRay's operator, which may ask for the job's state.
        num_seeds: seeds of a retrain. None means the default of `retrain`.
        where: name of the study file in a refusal.

    Raises:
        Refusal: if the study cannot run on Kubernetes, or a name is not allowed there.
    """
    settings = StudySettings.parse(parse_text(text, where), file=where)
    shape = WorkerPods.of(settings)
    overlay = overlay or (Overlay.GPU if shape.gpus else Overlay.BASE)
    _check_study(settings, text)
    _check_overlay(settings, overlay)
    _check_namespace("--namespace", namespace)
    _check_namespace("--operator-namespace", operator_namespace)
    _check_image(image, overlay)
    name = settings.study.name + ("" if command is Command.RUN else f"-{command.value}")
    image = image or (DEV_IMAGE if overlay is Overlay.DEV else TEMPLATE_IMAGE)
    study = _config_map(name, text)
    filled = _filled([*_cluster_objects(overlay, shape), *_read("ray-job.yaml")], name, image)
    (cluster,) = [manifest for manifest in filled if manifest["kind"] == "RayCluster"]
    (job,) = [manifest for manifest in filled if manifest["kind"] == "RayJob"]
    job["spec"]["entrypoint"] = _entrypoint(command, num_seeds)
    job["spec"]["rayClusterSpec"] = _with_study(cluster["spec"], study["metadata"]["name"])
    objects = [study, *(manifest for manifest in filled if manifest is not cluster)]
    for manifest in objects:
        manifest["metadata"]["namespace"] = namespace
        if manifest["kind"] == "NetworkPolicy":
            _name_operator(manifest["spec"], operator_namespace)
    return objects


def ray_objects(overlay: Overlay) -> list[Manifest]:
    """Return the interactive Ray cluster and its other objects, as kustomize builds them for an
    overlay."""
    (kustomization,) = _read("kustomization.yaml")
    objects = [manifest for name in kustomization["resources"] for manifest in _read(name)]
    if overlay is not Overlay.BASE:
        (component,) = _read(f"{overlay.value}/kustomization.yaml")
        for patch in component["patches"]:
            for manifest in objects:
                if manifest["kind"] == patch["target"]["kind"]:
                    apply_patch(manifest, yaml.safe_load(patch["patch"]))
    return objects


def apply_patch(manifest: Manifest, operations: Iterable[dict[str, Any]]) -> None:
    """Apply a JSON patch (RFC 6902) to a manifest in place.

    Only the operations that the overlays use are supported: `add` and `replace` of keys, and `add`
    to the end of a list. Raises ValueError for others.
    """
    for operation in operations:
        if operation["op"] not in ("add", "replace"):
            raise ValueError(
                f"expected operation 'add' or 'replace' in a patch; got {operation['op']!r}"
            )
        parts = operation["path"].split("/")[1:]
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in parts)
        parent: Any = manifest
        for part in parents:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        if last == "-":
            parent.append(copy.deepcopy(operation["value"]))
        else:
            parent[last] = copy.deepcopy(operation["value"])


def to_yaml(objects: Sequence[Manifest], *, is_ascii: bool = False) -> str:
    """Return the objects as one stream of YAML documents. `is_ascii` escapes all other characters,
    for an output whose encoding does not have them."""
    return yaml.dump_all(
        objects,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=not is_ascii,
        explicit_start=True,
    )


# Text that some reader of YAML 1.1 or 1.2 takes for a number, a date, a truth value or nothing
# where it is not quoted. PyYAML itself quotes only what it would misread, which `y` (Go) and `1e3`
# (YAML 1.2) are not.
_AMBIGUOUS = re.compile(
    r"[-+.]?[0-9].*|[-+]?\.(inf|nan)|y|n|yes|no|on|off|true|false|null|~|", re.I
)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines in block style, except text with unprintable characters, which
    YAML readers treat differently there. Text that may be taken for another type is quoted."""

    def represent_text(self, text: str) -> yaml.Node:
        style = None
        if not all(character == "\n" or character.isprintable() for character in text):
            style = '"'
        elif "\n" in text:
            style = "|"
        elif _AMBIGUOUS.fullmatch(text):
            style = "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def _read(name: str) -> list[Manifest]:
    file = resources.files("search") / "templates" / "ray" / name
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def _cluster_objects(overlay: Overlay, shape: WorkerPods) -> list[Manifest]:
    """Return the objects of the interactive cluster, with the workers that a study needs."""
    objects = ray_objects(overlay)
    (cluster,) = [manifest for manifest in objects if manifest["kind"] == "RayCluster"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    group["replicas"] = group["minReplicas"] = shape.min_pods
    group["maxReplicas"] = shape.max_pods
    group["rayStartParams"] |= {"num-cpus": str(shape.cpus), "num-gpus": str(shape.gpus)}
    sizes = {"cpu": str(shape.cpus), "memory": f"{shape.gib}Gi"}
    if shape.gpus:
        sizes[GPU] = str(shape.gpus)
    container_resources = group["template"]["spec"]["containers"][0]["resources"]
    container_resources["limits"] |= sizes
    if overlay is not Overlay.DEV:  # the one node of `dev` keeps its small requests
        container_resources["requests"] |= sizes
    return objects


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
    """Return the cluster's spec with the study file mounted on the head, where the driver runs."""
    pod = cluster["headGroupSpec"]["template"]["spec"]
    pod["volumes"].append({"name": "study", "configMap": {"name": config_map}})
    mount = {"name": "study", "mountPath": STUDY_FOLDER, "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)
    return cluster


def _name_operator(policy: Manifest, namespace: str) -> None:
    """Set the namespace of the operator, the only peer of another namespace, in place."""
    for peer in (peer for rule in policy.get("ingress", ()) for peer in rule["from"]):
        if "namespaceSelector" in peer:
            peer["namespaceSelector"]["matchLabels"][NAMESPACE_LABEL] = namespace


def _entrypoint(command: Command, num_seeds: int | None) -> str:
    """Return the job's command line, built from fixed words and a number.

    KubeRay's submitter passes it through two shells, and the first removes the quotes. So no word
    may need quotes. Raises ValueError if one does.
    """
    words = ["transfer-search", command.value, f"{STUDY_FOLDER}/{STUDY_KEY}"]
    words += [] if num_seeds is None else [f"--seeds={num_seeds:d}"]
    line = shlex.join(words)
    if line != " ".join(words):
        raise ValueError(f"{line} has a word that needs quotes")
    return line


def _filled(value: Any, name: str, image: str) -> Any:
    """Return a copy of the value with the template's name and image replaced by these."""
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
    """Refuse a study whose name is not allowed on Kubernetes, whose folders a pod does not have, or
    whose file holds a secret."""
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
            f"the study file has {len(text.encode()):,} bytes, but a ConfigMap holds at most "
            f"{MAX_STUDY_BYTES:,}; shorten it"
        )
    key, line = secret_key(settings), secret_line(text)
    if key is not None or line is not None:
        place = f"tracking.{key}" if key else f"line {line} of the study file"
        raise Refusal(
            f"{place} has a password in it, which must not be stored in a ConfigMap; leave "
            "it out and give it to the head's pod in a Secret (docs/how-to/kubernetes.md)"
        )
    _check_folder("data_root", settings.study.data_root)
    if settings.reads_folders and settings.study.data_root is None:
        raise Refusal(
            "the study reads rows of its own from folders, which no pod has; set study.data_root "
            f"to a folder below {WORK} that has them, such as one that `data bundle` wrote"
        )
    _check_folder("encoder_folder", settings.study.encoder_folder)
    if settings.study.encoder.startswith(("/", ".", "~")):
        _check_folder("encoder", settings.study.encoder)


def _check_folder(key: str, folder: str | None) -> None:
    if folder and not (folder.startswith(f"{WORK}/") and ".." not in folder.split("/")):
        raise Refusal(
            f"study.{key} is {folder!r}, which no pod has; expected a folder below {WORK}, where "
            "the volume `work` is mounted"
        )


def _check_overlay(settings: StudySettings, overlay: Overlay) -> None:
    gpus = settings.resources.gpus_per_worker
    if bool(gpus) != (overlay is Overlay.GPU):
        mend = "leave --overlay out, or change gpus_per_worker in [resources]"
        raise Refusal(
            f"study {settings.study.name!r} needs {gpus} GPUs per worker, but overlay "
            f"{overlay.value!r} is for studies {'without' if gpus else 'with'} GPUs; {mend}"
        )


def _check_namespace(option: str, namespace: str) -> None:
    if not LABEL.fullmatch(namespace):
        raise Refusal(
            f"{option} {namespace!r} cannot name a namespace: expected at most 63 lower-case "
            "letters, digits and '-', a letter or digit first and last"
        )


def _check_image(image: str | None, overlay: Overlay) -> None:
    if image is None:
        return
    is_pinned = "@sha256:" in image or overlay is Overlay.DEV
    if not IMAGE.fullmatch(image) or not is_pinned:
        raise Refusal(
            f"--image {image!r} is not pinned; expected NAME@sha256: and the 64 digits of its "
            "digest (overlay dev also takes a tag)"
        )
