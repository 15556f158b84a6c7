"""Names, labels, selectors, ports, commands and options agree across all objects."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from search.cli.app import app
from tests.k8s_objects import (
    RENDERED,
    ROOT,
    all_pods,
    build,
    everything,
    matches,
    pods,
    ports,
    render,
)

BY_SECRETS_SH = {"postgres", "mlflow", "mlflow-client"}
DOCUMENTED_SECRETS = BY_SECRETS_SH | {"hub", "s3-artifacts"}
OF_KUBERNETES = {"kube-root-ca.crt"}  # the API server puts this ConfigMap into every namespace


def test_no_two_objects_have_one_name() -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in everything()]
    assert len(names) == len(set(names))
    namespaces = {one["metadata"].get("namespace") for one in everything()}
    assert namespaces == {"transfer-search", None}


def test_services_find_pods_and_ports() -> None:
    services = [one for one in everything() if one["kind"] == "Service"]
    assert {one["metadata"]["name"] for one in services} == {"mlflow", "postgres"}
    for service in services:
        selector = {"matchLabels": service["spec"]["selector"]}
        (found,) = [pod for labels, pod in all_pods(everything()) if matches(selector, labels)]
        for port in service["spec"]["ports"]:
            assert ports(found)[port["targetPort"]] == port["port"]


def test_selectors_of_controllers_are_their_pods_labels() -> None:
    for one in everything():
        if one["kind"] in ("Deployment", "StatefulSet"):
            ((labels, _),) = pods(one)
            assert matches(one["spec"]["selector"], labels)
    budgets = [one for one in everything() if one["kind"] == "PodDisruptionBudget"]
    for budget in budgets:
        found = [
            p for labels, p in all_pods(everything()) if matches(budget["spec"]["selector"], labels)
        ]
        assert len(found) == 1
        assert found[0]["serviceAccountName"] == "ray-head"
    assert len(budgets) == 5


def test_workers_spread_by_labels_of_their_own() -> None:
    for labels, pod in all_pods(everything()):
        for constraint in pod.get("topologySpreadConstraints", []):
            assert matches(constraint["labelSelector"], labels)


def test_everything_that_is_named_is_there() -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in everything()}
    there |= {("Secret", name) for name in DOCUMENTED_SECRETS}
    there |= {("ConfigMap", name) for name in OF_KUBERNETES}
    for _, pod in all_pods(everything()):
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


def test_volumes_are_mounted_and_mounts_have_volumes() -> None:
    for one in everything():
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


def test_components_change_what_they_say() -> None:
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


def test_the_scripts_make_the_secrets_that_are_named() -> None:
    script = (ROOT / "k8s" / "secrets.sh").read_text()
    assert set(re.findall(r"^secret ([a-z-]+) <<EOF", script, re.MULTILINE)) == BY_SECRETS_SH
    document = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    for name in DOCUMENTED_SECRETS - BY_SECRETS_SH:
        assert f"create secret generic {name}" in document


def test_secrets_have_the_keys_that_are_asked_for() -> None:
    script = (ROOT / "k8s" / "secrets.sh").read_text()
    blocks = re.findall(r"^secret ([a-z-]+) <<EOF\n(.*?)^EOF", script, re.MULTILINE | re.DOTALL)
    keys = {name: set(re.findall(r"^([\w-]+)=", block, re.MULTILINE)) for name, block in blocks}
    for _, pod in all_pods(everything()):
        for variable in (v for c in pod["containers"] for v in c.get("env", [])):
            source = variable.get("valueFrom", {}).get("secretKeyRef")
            if source and not source.get("optional"):
                assert source["key"] in keys[source["name"]]


def test_entrypoints_are_commands_of_ours() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for place in RENDERED:
        (job,) = [one for one in render(*place) if one["kind"] == "RayJob"]
        program, command, study = job["spec"]["entrypoint"].split(" ")
        assert program == "transfer-search"
        assert command in commands
        head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
        assert Path(study).parent.as_posix() in {m["mountPath"] for m in head["volumeMounts"]}


def test_the_server_s_options_are_mlflow_s() -> None:
    from mlflow.cli import cli

    (server,) = [
        container
        for one in everything()
        if one["kind"] == "Deployment"
        for _, pod in pods(one)
        for container in pod["containers"]
    ]
    program, command = server["command"]
    known = {option for p in cli.commands[command].params for option in p.opts}
    assert program == "mlflow"
    assert {argument.partition("=")[0] for argument in server["args"]} <= known


def test_documented_commands_and_settings_exist() -> None:
    """Lines of docs/how-to/kubernetes.md that run our program run a command it has."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    document = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    used = set(re.findall(r"^\s*transfer-search (\w+)", document, re.MULTILINE))
    assert used
    assert used <= set(commands)
