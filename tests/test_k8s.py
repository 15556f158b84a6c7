"""Every manifest that is shipped or rendered: valid by schema, locked down, and of one mind.

Nothing here asks a cluster. kustomize is kubectl's own; where kubectl is missing, what needs it is
skipped and says so.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml

from search.cli import app
from search.manifests import Command, Manifest, Overlay, ray_objects, study_objects
from spaces.study import read_text

ROOT = Path(__file__).parent.parent
VERSION = "1.33"  # of Kubernetes: the oldest that we say we run on
COMPONENTS = ("external-postgres", "hub-egress", "s3-artifacts")  # of k8s/components
BUILT = ("base", "overlays/gpu", "overlays/dev", "components")
RENDERED = tuple(
    (study, command, overlay)
    for study, overlays in (
        ("pocket", (Overlay.BASE, Overlay.DEV)),
        ("xtreme", (Overlay.GPU,)),
    )
    for overlay in overlays
    for command in Command
)
BY_SECRETS_SH = {"postgres", "mlflow", "mlflow-client"}
DOCUMENTED_SECRETS = BY_SECRETS_SH | {"hub", "s3-artifacts"}
OF_KUBERNETES = {"kube-root-ca.crt"}  # the API server puts this ConfigMap into every namespace


@cache
def _kustomize(folder: str) -> tuple[Manifest, ...]:
    command = ["kubectl", "kustomize", folder]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not built.stderr, built.stderr  # it warns of deprecated fields there
    return tuple(yaml.load_all(built.stdout, Loader=yaml.CSafeLoader))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Manifest, ...]]:
    """What kustomize makes of a folder of k8s/; of `components`, all of them on the base."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here, whose kustomize builds the overlays")
    folder = tmp_path_factory.mktemp("overlay").resolve()
    to_root = "/".join([".."] * (len(folder.parts) - 1)) + str(ROOT)
    content = {
        "resources": [f"{to_root}/k8s/base"],
        "components": [
            *(f"{to_root}/k8s/components/{name}" for name in COMPONENTS),
            f"{to_root}/search/templates/ray/gcs-fault-tolerance",
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return lambda name: _kustomize(str(folder if name == "components" else ROOT / "k8s" / name))


@cache
def _render(study: str, command: Command, overlay: Overlay) -> tuple[Manifest, ...]:
    return tuple(study_objects(read_text(study), command=command, overlay=overlay))


@pytest.fixture(scope="session")
def kuberay() -> dict[str, Any]:
    """Kind -> the schema of KubeRay's CRD, version v1, with unknown fields refused."""
    folder = ROOT / ".." / "shared" / "kuberay-crds"
    if not folder.is_dir():
        pytest.skip("no CRDs of KubeRay at ../shared/kuberay-crds")
    found = {}
    for name in ("rayclusters", "rayjobs"):
        text = (folder / f"ray.io_{name}.yaml").read_text()
        definition = yaml.load(text, Loader=yaml.CSafeLoader)["spec"]
        (version,) = [v for v in definition["versions"] if v["name"] == "v1"]
        found[definition["names"]["kind"]] = _closed(version["schema"]["openAPIV3Schema"])
    return found


def _closed(schema: Any) -> Any:
    """The API server drops fields that a CRD does not know; a test has to see them."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _closed(part) for key, part in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["type"] = ["integer", "string"]
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return schema


def _check_schema(found: Manifest, kuberay: dict[str, Any]) -> None:
    if found["apiVersion"].startswith("ray.io/"):
        assert found["apiVersion"] == "ray.io/v1"
        schema = {**kuberay[found["kind"]], "additionalProperties": False}
        schema["properties"] = {**schema["properties"], "metadata": {"type": "object"}}
        jsonschema.validate(found, schema, cls=jsonschema.Draft7Validator)
    else:
        kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize("name", BUILT)
def test_what_kustomize_builds_is_valid(
    name: str, build: Callable[..., Any], kuberay: dict[str, Any]
) -> None:
    for found in build(name):
        _check_schema(found, kuberay)


@pytest.mark.parametrize(("study", "command", "overlay"), RENDERED)
def test_what_is_rendered_is_valid(
    study: str, command: Command, overlay: Overlay, kuberay: dict[str, Any]
) -> None:
    for found in _render(study, command, overlay):
        _check_schema(found, kuberay)


def test_the_schemas_see_a_misspelt_field(kuberay: dict[str, Any]) -> None:
    (job,) = _fresh("RayJob")
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["hostNetwrk"] = True
    with pytest.raises(jsonschema.ValidationError, match="hostNetwrk"):
        _check_schema(job, kuberay)
    (policy, *_) = _fresh("NetworkPolicy")
    policy["spec"]["ingres"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="ingres"):
        _check_schema(policy, kuberay)


def _fresh(kind: str) -> list[Manifest]:
    return [one for one in study_objects(read_text("pocket")) if one["kind"] == kind]


@pytest.mark.parametrize("overlay", Overlay)
def test_kustomize_and_render_patch_alike(overlay: Overlay, build: Callable[..., Any]) -> None:
    """The interactive cluster of an overlay is the one that studies are rendered from."""
    name = "base" if overlay is Overlay.BASE else f"overlays/{overlay.value}"
    built = {(one["kind"], one["metadata"]["name"]): one for one in build(name)}
    for ours in ray_objects(overlay):
        theirs = built[ours["kind"], ours["metadata"]["name"]]
        assert theirs["metadata"]["labels"] == ours["metadata"]["labels"]
        assert _untagged(theirs["spec"]) == ours["spec"]


def _untagged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untagged(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_untagged(part) for part in value]
    return "transfer-search" if value == "transfer-search:dev" else value


# ---- all objects together: what the service installs, and two studies beside each other


@pytest.fixture(scope="session")
def everything(build: Callable[..., Any]) -> list[Manifest]:
    rendered = [one for place in RENDERED for one in _render(*place) if place[2] is not Overlay.DEV]
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


def _all_pods(objects: list[Manifest]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
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


def test_no_two_objects_have_one_name(everything: list[Manifest]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in everything]
    assert len(names) == len(set(names))
    namespaces = {one["metadata"].get("namespace") for one in everything}
    assert namespaces == {"transfer-search", None}


def test_services_find_pods_and_ports(everything: list[Manifest]) -> None:
    services = [one for one in everything if one["kind"] == "Service"]
    assert {one["metadata"]["name"] for one in services} == {"mlflow", "postgres"}
    for service in services:
        selector = {"matchLabels": service["spec"]["selector"]}
        (found,) = [pod for labels, pod in _all_pods(everything) if matches(selector, labels)]
        for port in service["spec"]["ports"]:
            assert ports(found)[port["targetPort"]] == port["port"]


def test_selectors_of_controllers_are_their_pods_labels(everything: list[Manifest]) -> None:
    for one in everything:
        if one["kind"] in ("Deployment", "StatefulSet"):
            ((labels, _),) = pods(one)
            assert matches(one["spec"]["selector"], labels)
    budgets = [one for one in everything if one["kind"] == "PodDisruptionBudget"]
    for budget in budgets:
        found = [
            p for labels, p in _all_pods(everything) if matches(budget["spec"]["selector"], labels)
        ]
        assert len(found) == 1
        assert found[0]["serviceAccountName"] == "ray-head"
    assert len(budgets) == 5


def test_workers_spread_by_labels_of_their_own(everything: list[Manifest]) -> None:
    for labels, pod in _all_pods(everything):
        for constraint in pod.get("topologySpreadConstraints", []):
            assert matches(constraint["labelSelector"], labels)


def test_everything_that_is_named_is_there(everything: list[Manifest]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in everything}
    there |= {("Secret", name) for name in DOCUMENTED_SECRETS}
    there |= {("ConfigMap", name) for name in OF_KUBERNETES}
    for _, pod in _all_pods(everything):
        assert set(_named(pod)) <= there


def _named(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod["serviceAccountName"]
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        for source in volume.get("projected", {}).get("sources", []):
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            yield "Secret", source["secretRef"]["name"]
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"]


def test_volumes_are_mounted_and_mounts_have_volumes(everything: list[Manifest]) -> None:
    for one in everything:
        claims = (
            {c["metadata"]["name"] for c in one["spec"].get("volumeClaimTemplates", [])}
            if "spec" in one
            else set()
        )
        for _, pod in pods(one):
            mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
            there = {volume["name"] for volume in pod["volumes"]} | claims
            assert mounted <= there
            assert there - mounted <= {"autoscaler-token"}  # mounted by autoscalerOptions


def test_policies_open_ports_that_a_container_has(everything: list[Manifest]) -> None:
    """Of our own pods, at either end; 53, 443 and 6443 are others' ports."""
    known = {port for _, pod in _all_pods(everything) for port in ports(pod).values()}
    for one in everything:
        if one["kind"] != "NetworkPolicy":
            continue
        spec = one["spec"]
        chosen = [p for labels, p in _all_pods(everything) if matches(spec["podSelector"], labels)]
        assert chosen, one["metadata"]["name"]
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                assert all(port["port"] in ports(pod).values() for pod in chosen)
        for rule in spec.get("egress", []):
            for port in rule.get("ports", []):
                assert port["port"] in known | {53, 443, 6443}


def _may_talk(
    objects: list[Manifest], source: dict[str, str], target: dict[str, str], port: int
) -> bool:
    """Whether the policies let a pod with these labels reach a port of another."""

    def allowed(direction: str, own: dict[str, str], peer: dict[str, str], word: str) -> bool:
        for policy in objects:
            if policy["kind"] != "NetworkPolicy" or not matches(policy["spec"]["podSelector"], own):
                continue
            for rule in policy["spec"].get(direction, []):
                selectors = [p["podSelector"] for p in rule[word] if set(p) == {"podSelector"}]
                numbers = {p["port"] for p in rule.get("ports", [])}
                if any(matches(s, peer) for s in selectors) and (not numbers or port in numbers):
                    return True
        return False

    return allowed("egress", source, target, "to") and allowed("ingress", target, source, "from")


def test_who_may_talk_to_whom(everything: list[Manifest]) -> None:
    def labels(component: str, instance: str | None = None) -> dict[str, str]:
        (found,) = [
            labels
            for labels, _ in _all_pods(everything)
            if labels["app.kubernetes.io/component"] == component
            and labels.get("app.kubernetes.io/instance") == instance
        ]
        return found

    head, worker = labels("ray-head", "pocket"), labels("ray-worker", "pocket")
    submitter, other = labels("ray-submitter", "pocket"), labels("ray-worker", "xtreme")
    mlflow, postgres = labels("mlflow"), labels("postgres")
    open_ways = [
        (head, worker, 33333),
        (worker, head, 6379),
        (worker, worker, 33333),
        (submitter, head, 8265),
        (head, mlflow, 5000),
        (mlflow, postgres, 5432),
    ]
    shut_ways = [
        (worker, mlflow, 5000),
        (submitter, mlflow, 5000),
        (head, postgres, 5432),
        (worker, postgres, 5432),
        (other, head, 6379),
        (other, worker, 33333),
        (submitter, head, 6379),
        (submitter, worker, 52365),
        (mlflow, head, 8265),
        (postgres, mlflow, 5000),
        (mlflow, postgres, 22),
        (labels("ray-submitter", "xtreme"), head, 8265),
    ]
    assert [way for way in open_ways if not _may_talk(everything, *way)] == []
    assert [way for way in shut_ways if _may_talk(everything, *way)] == []
    (deny,) = [one for one in everything if one["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_components_change_what_they_say(build: Callable[..., Any]) -> None:
    built = {(one["kind"], one["metadata"]["name"]): one for one in build("components")}
    assert not [name for kind, name in built if name == "postgres"]
    assert ("PersistentVolumeClaim", "mlflow-artifacts") not in built
    ((_, server),) = pods(built["Deployment", "mlflow"])
    (container,) = server["containers"]
    assert [source["secretRef"]["name"] for source in container["envFrom"]] == [
        "postgres",
        "s3-artifacts",
    ]
    assert not [argument for argument in container["args"] if "artifacts" in argument]
    assert {mount["name"] for mount in container["volumeMounts"]} == {"auth", "tmp"}
    egress = built["NetworkPolicy", "mlflow"]["spec"]["egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in egress] == [[5432], [443]]
    assert built["NetworkPolicy", "hub"]["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]
    options = built["RayCluster", "interactive"]["spec"]["gcsFaultToleranceOptions"]
    assert options["backend"] == "rocksdb"


# ---- locked down


def test_pods_are_restricted(everything: list[Manifest]) -> None:
    (namespace,) = [one for one in everything if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for _, pod in _all_pods(everything):
        of_pod = pod["securityContext"]
        assert of_pod["runAsNonRoot"] is True
        assert of_pod["runAsUser"] > 0
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            _check_container(container)
            where = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert where["tmp"] == "/tmp"
    accounts = [one for one in everything if one["kind"] == "ServiceAccount"]
    assert all(one["automountServiceAccountToken"] is False for one in accounts)


def _check_container(container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    for which in ("requests", "limits"):
        assert {"cpu", "memory"} <= container["resources"][which].keys()
    if "ports" in container:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe].get("httpGet")
            assert asked is None or asked["port"] in {port["name"] for port in container["ports"]}


def test_ray_asks_for_a_token_and_the_autoscaler_alone_has_rights(
    everything: list[Manifest],
) -> None:
    clusters = [one["spec"] for one in everything if one["kind"] == "RayCluster"]
    clusters += [one["spec"]["rayClusterSpec"] for one in everything if one["kind"] == "RayJob"]
    assert len(clusters) == 5
    for cluster in clusters:
        assert cluster["authOptions"] == {"mode": "token"}
        options = cluster["autoscalerOptions"]
        _check_container({**options, "resources": options["resources"]})
        volumes = cluster["headGroupSpec"]["template"]["spec"]["volumes"]
        assert {m["name"] for m in options["volumeMounts"]} <= {v["name"] for v in volumes}
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert not [one for one in everything if "Role" in one["kind"]]


@pytest.mark.parametrize("name", BUILT)
def test_no_secret_has_a_value_in_the_repository(name: str, build: Callable[..., Any]) -> None:
    for one in build(name):
        assert one["kind"] != "Secret"
        for _, pod in pods(one):
            for variable in (v for c in pod["containers"] for v in c.get("env", [])):
                is_secret = re.search("PASSWORD|SECRET|TOKEN", variable["name"])
                assert not (is_secret and "value" in variable), variable["name"]


# ---- what they name exists


def test_the_scripts_make_the_secrets_that_are_named() -> None:
    script = (ROOT / "k8s" / "secrets.sh").read_text()
    assert set(re.findall(r"^secret ([a-z-]+) <<EOF", script, re.MULTILINE)) == BY_SECRETS_SH
    document = (ROOT / "docs" / "kubernetes.md").read_text()
    for name in DOCUMENTED_SECRETS - BY_SECRETS_SH:
        assert f"create secret generic {name}" in document


def test_secrets_have_the_keys_that_are_asked_for(everything: list[Manifest]) -> None:
    script = (ROOT / "k8s" / "secrets.sh").read_text()
    blocks = re.findall(r"^secret ([a-z-]+) <<EOF\n(.*?)^EOF", script, re.MULTILINE | re.DOTALL)
    keys = {name: set(re.findall(r"^([\w-]+)=", block, re.MULTILINE)) for name, block in blocks}
    for _, pod in _all_pods(everything):
        for variable in (v for c in pod["containers"] for v in c.get("env", [])):
            source = variable.get("valueFrom", {}).get("secretKeyRef")
            if source and not source.get("optional"):
                assert source["key"] in keys[source["name"]]


@pytest.mark.parametrize("script", ["secrets.sh", "mlflow-user.sh"])
def test_scripts_are_bash(script: str) -> None:
    path = ROOT / "k8s" / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_entrypoints_are_commands_of_ours() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for place in RENDERED:
        (job,) = [one for one in _render(*place) if one["kind"] == "RayJob"]
        program, command, study = job["spec"]["entrypoint"].split(" ")
        assert program == "transfer-search"
        assert command in commands
        head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
        assert Path(study).parent.as_posix() in {m["mountPath"] for m in head["volumeMounts"]}


def test_the_server_s_options_are_mlflow_s(everything: list[Manifest]) -> None:
    from mlflow.cli import cli

    (server,) = [
        container
        for one in everything
        if one["kind"] == "Deployment"
        for _, pod in pods(one)
        for container in pod["containers"]
    ]
    program, command = server["command"]
    known = {option for p in cli.commands[command].params for option in p.opts}
    assert program == "mlflow"
    assert {argument.partition("=")[0] for argument in server["args"]} <= known


def test_documented_commands_and_settings_exist() -> None:
    """Lines of docs/kubernetes.md that run our program run a command it has."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    document = (ROOT / "docs" / "kubernetes.md").read_text()
    used = set(re.findall(r"^\s*transfer-search (\w+)", document, re.MULTILINE))
    assert used
    assert used <= set(commands)
