"""Pods are locked down, nobody talks to whom he need not, no secret has a value."""

import re
import subprocess
from typing import Any

import pytest

from tests.k8s_objects import BUILT, ROOT, all_pods, build, everything, matches, pods, ports


def test_policies_open_ports_that_a_container_has() -> None:
    """Of our own pods, at either end; 53, 443 and 6443 are others' ports."""
    known = {port for _, pod in all_pods(everything()) for port in ports(pod).values()}
    for one in everything():
        if one["kind"] != "NetworkPolicy":
            continue
        spec = one["spec"]
        chosen = [p for labels, p in all_pods(everything()) if matches(spec["podSelector"], labels)]
        assert chosen, one["metadata"]["name"]
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                assert all(port["port"] in ports(pod).values() for pod in chosen)
        for rule in spec.get("egress", []):
            for port in rule.get("ports", []):
                assert port["port"] in known | {53, 443, 6443}


Way = tuple[dict[str, str], dict[str, str], int]  # labels of who, labels of whom, port


def _lets(direction: str, way: Way) -> bool:
    """Whether the policies let a pod out (`egress`), or the other one let it in (`ingress`)."""
    source, target, port = way
    own, peer, word = (source, target, "to") if direction == "egress" else (target, source, "from")
    for policy in everything():
        if policy["kind"] != "NetworkPolicy" or not matches(policy["spec"]["podSelector"], own):
            continue
        for rule in policy["spec"].get(direction, []):
            selectors = [p["podSelector"] for p in rule[word] if set(p) == {"podSelector"}]
            numbers = {p["port"] for p in rule.get("ports", [])}
            if any(matches(s, peer) for s in selectors) and (not numbers or port in numbers):
                return True
    return False


def test_who_may_talk_to_whom() -> None:
    def labels(component: str, instance: str | None = None) -> dict[str, str]:
        (found,) = [
            labels
            for labels, _ in all_pods(everything())
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
    for direction in ("egress", "ingress"):  # both ends open, or both ends shut
        assert [way for way in open_ways if not _lets(direction, way)] == []
        assert [way for way in shut_ways if _lets(direction, way)] == []
    (deny,) = [one for one in everything() if one["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_pods_are_restricted() -> None:
    (namespace,) = [one for one in everything() if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for _, pod in all_pods(everything()):
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
    accounts = [one for one in everything() if one["kind"] == "ServiceAccount"]
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


def test_ray_asks_for_a_token_and_the_autoscaler_alone_has_rights() -> None:
    clusters = [one["spec"] for one in everything() if one["kind"] == "RayCluster"]
    clusters += [one["spec"]["rayClusterSpec"] for one in everything() if one["kind"] == "RayJob"]
    assert len(clusters) == 5
    for cluster in clusters:
        assert cluster["authOptions"] == {"mode": "token"}
        options = cluster["autoscalerOptions"]
        _check_container({**options, "resources": options["resources"]})
        volumes = cluster["headGroupSpec"]["template"]["spec"]["volumes"]
        assert {m["name"] for m in options["volumeMounts"]} <= {v["name"] for v in volumes}
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert not [one for one in everything() if "Role" in one["kind"]]


@pytest.mark.parametrize("name", BUILT)
def test_no_secret_has_a_value_in_the_repository(name: str) -> None:
    for one in build(name):
        assert one["kind"] != "Secret"
        for _, pod in pods(one):
            for variable in (v for c in pod["containers"] for v in c.get("env", [])):
                is_secret = re.search("PASSWORD|SECRET|TOKEN", variable["name"])
                assert not (is_secret and "value" in variable), variable["name"]


@pytest.mark.parametrize("script", ["secrets.sh", "mlflow-user.sh"])
def test_scripts_are_bash(script: str) -> None:
    path = ROOT / "k8s" / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)
