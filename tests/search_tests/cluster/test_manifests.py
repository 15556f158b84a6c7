import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search.cluster.manifests import (
    MAX_NAME,
    MAX_STUDY_BYTES,
    Command,
    Manifest,
    Overlay,
    WorkerPods,
    apply_patch,
    ray_objects,
    study_objects,
    to_yaml,
)
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import read_text

DIGEST = "@sha256:" + 64 * "a"
HOSTILE = (
    "$(touch /tmp/x)",
    "`id`",
    "'; rm -rf / #",
    '"quoted"',
    "{{ .Values.x }}",
    "!!python/object/apply:os.system [id]",
    "a: b\n- c",
    "---\nkind: Secret",
    "no",
    "\ttab",
    "\u2028",
    "\ufeff",
    "日本語",
)


def study_text(
    name: str = "mine", *, study: str = "", resources: str = "", tracking: str = "", tail: str = ""
) -> str:
    return f"""{tail}
[study]
name = "{name}"
encoder = "pocket"
seed = 1
{study}
[space]
intermediate = ["none", "fact"]
intermediate_learning_rate = [1e-3]
target_learning_rate = [1e-3]
targets = ["coh"]
[training.intermediate]
num_steps = 2
batch_size = 2
max_length = 64
[training.target]
num_steps = 2
batch_size = 2
max_length = 64
[resources]
{resources}
[tracking]
{tracking}
[budget]
num_trials = 6
"""


def one(objects: list[Manifest], kind: str) -> Manifest:
    (found,) = [found for found in objects if found["kind"] == kind]
    return found


def workers(objects: list[Manifest]) -> Any:
    (group,) = one(objects, "RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return group


@pytest.mark.parametrize("study", ["pocket", "hub-small", "xtreme", "xtreme-base"])
@pytest.mark.parametrize("command", Command)
def test_what_is_dumped_is_what_was_meant(study: str, command: Command) -> None:
    text = read_text(study)
    objects = study_objects(text, command=command)
    loaded = list(yaml.safe_load_all(to_yaml(objects)))
    assert loaded == objects
    assert one(loaded, "ConfigMap")["data"] == {"study.toml": text}
    job = one(loaded, "RayJob")
    assert (
        job["spec"]["entrypoint"]
        == f"transfer-search {command.value} /etc/transfer-search/study.toml"
    )
    assert job["metadata"]["name"] == (study if command is Command.RUN else f"{study}-retrain")


def test_a_pod_is_what_a_worker_asks_ray_for() -> None:
    asked = "num_workers = 2\ncpus_per_worker = 3\ngpus_per_worker = 1\ngib_per_worker = 24\n"
    group = workers(study_objects(study_text(resources=asked + "max_concurrent_trials = 4")))
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (2, 2, 8)
    assert group["rayStartParams"]["num-cpus"] == "3"
    assert group["rayStartParams"]["num-gpus"] == "1"
    (container,) = group["template"]["spec"]["containers"]
    for given_or_taken in ("requests", "limits"):
        sizes = container["resources"][given_or_taken]
        assert (sizes["cpu"], sizes["memory"], sizes["nvidia.com/gpu"]) == ("3", "24Gi", "1")


def test_as_many_as_fit_is_one_trial_and_never_more_than_the_budget() -> None:
    def shape(resources: str) -> WorkerPods:
        text = study_text(resources=resources)
        return WorkerPods.of(StudySettings.parse(tomllib.loads(text)))

    assert (shape("").min_pods, shape("").max_pods) == (1, 1)
    assert shape("max_concurrent_trials = 100").max_pods == 6
    assert shape("num_workers = 3\nmax_concurrent_trials = 2").max_pods == 6


def test_the_head_trains_nothing_and_has_no_gpu() -> None:
    objects = study_objects(study_text(resources="gpus_per_worker = 1"))
    head = one(objects, "RayJob")["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == head["rayStartParams"]["num-gpus"] == "0"
    assert "nvidia.com/gpu" not in str(head)


def test_the_overlay_follows_the_study() -> None:
    def tolerated(**arguments: Any) -> set[str]:
        pod = workers(study_objects(**arguments))["template"]["spec"]
        return {toleration["key"] for toleration in pod["tolerations"]}

    assert "nvidia.com/gpu" in tolerated(text=study_text(resources="gpus_per_worker = 1"))
    assert "nvidia.com/gpu" not in tolerated(text=study_text())
    dev = workers(study_objects(study_text(), overlay=Overlay.DEV))["template"]["spec"]
    sizes = dev["containers"][0]["resources"]
    assert (sizes["requests"]["memory"], sizes["limits"]["memory"]) == ("3Gi", "8Gi")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_one_value(hostile: str) -> None:
    plain = study_objects(study_text())
    text = study_text(tail="".join(f"# {line}\n" for line in hostile.split("\n")))
    objects = list(yaml.safe_load_all(to_yaml(study_objects(text))))
    assert one(objects, "ConfigMap")["data"]["study.toml"] == text
    # Nothing else differs from what a harmless study makes.
    assert objects[1:] == plain[1:]


# What a TOML comment may hold: no control characters but the tabulator.
COMMENTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\t")), max_size=4
)


@settings(deadline=None, max_examples=10)
@given(COMMENTS, st.sampled_from(["\n", "\r\n"]))
def test_any_study_text_comes_back_as_it_was(comments: list[str], newline: str) -> None:
    text = study_text(tail="".join(f"#{comment}\n" for comment in comments))
    text = text.replace("\n", newline)
    objects = list(yaml.safe_load_all(to_yaml(study_objects(text))))
    assert one(objects, "ConfigMap")["data"]["study.toml"] == text


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_dumper(text: str) -> None:
    assert yaml.safe_load(to_yaml([{"value": text, text: 1}])) == {"value": text, text: 1}


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_without_unicode(text: str) -> None:
    printed = to_yaml([{"value": text, text: 1}], is_ascii=True)
    assert printed.isascii()
    assert yaml.safe_load(printed) == {"value": text, text: 1}


class OtherReader(yaml.SafeLoader):
    """Reads plain text as YAML 1.2 and the readers of Go do too, where they differ from PyYAML."""


OtherReader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$"),
    list("-+.0123456789"),
)
OtherReader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0o[0-7_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+|[-+]?[0-9_]+)$"),
    list("-+0123456789"),
)
OtherReader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))

MISTAKEN = (  # separated by blanks
    "y Y n N yes No on OFF true False null Null ~ 1 -1 +1 1e3 1E3 -1e-3 1.5 .5 5. 0x10 0o17 0b1 "
    "017 1_000 1:30 190:20:30 .inf -.INF .nan 2001-01-01 2001-01-01T00:00:00Z 12e03 0 00 = << - ? "
    "# & * ! | > % @ ` a: :a a#b {} [] 1.2.3 1m 4Gi"
)
NAMES = st.sampled_from(MISTAKEN.split()) | st.from_regex(
    r"[-+.0-9a-zA-Z_:~]{0,12}", fullmatch=True
)


@settings(deadline=None, max_examples=500)
@given(NAMES)
def test_a_name_is_no_other_type_for_any_reader(name: str) -> None:
    printed = to_yaml([{"value": name, name: [name]}])
    for reader in (yaml.SafeLoader, OtherReader):
        loaded = yaml.load(printed, Loader=reader)
        assert loaded == {"value": name, name: [name]}, printed


@pytest.mark.parametrize("name", ["y", "n", "no", "on", "null", "yes", "true", "e1", "inf"])
@pytest.mark.parametrize("namespace", ["1e3", "123", "0x10", "2001-01-01", "y", "null"])
def test_every_manifest_keeps_its_names(name: str, namespace: str) -> None:
    text = study_text(name)
    objects = study_objects(text, namespace=namespace)
    for reader in (yaml.SafeLoader, OtherReader):
        assert list(yaml.load_all(to_yaml(objects), Loader=reader)) == objects
    assert {found["metadata"]["namespace"] for found in objects} == {namespace}
    assert one(objects, "RayJob")["metadata"]["name"] == name


def test_the_entrypoint_needs_no_quotes_in_any_shell() -> None:
    entrypoint = one(study_objects(study_text()), "RayJob")["spec"]["entrypoint"]
    assert all(shlex.quote(word) == word for word in entrypoint.split(" "))


@pytest.mark.parametrize(
    "name",
    ["Mine", "my_study", "my.study", "9lives", "mine-", "interactive", "a-retrain", "a" * 40],
)
def test_a_name_that_kubernetes_has_not_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=r"cannot name Kubernetes objects.*\[study\]") as caught:
        study_objects(study_text(name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "interactive-2", "mlflow", "a" * MAX_NAME])
def test_every_object_is_named_after_the_study(name: str) -> None:
    objects = study_objects(study_text(name), command=Command.RETRAIN)
    for found in objects:
        assert found["metadata"]["name"].startswith(f"{name}-retrain")
        assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == f"{name}-retrain"
    dumped = to_yaml(objects[1:]).replace(f"{name}-retrain", "")
    assert "interactive" not in dumped


@pytest.mark.parametrize(
    ("section", "line", "refused"),
    [
        ("study", 'data_root = "data"', "below /work"),
        ("study", 'data_root = "/work/../etc"', "below /work"),
        ("study", 'encoder_folder = "mine"', "study.encoder_folder is .*below /work"),
        ("tracking", 'mlflow = "http://me:secret@mlflow:5000"', "password"),
        ("tracking", 'optuna = "postgresql://me:secret@db/optuna"', "password"),
        ("tracking", 'optuna = "postgresql://me@db/optuna?password=secret"', "password"),
    ],
)
def test_what_a_pod_has_not_or_may_not_hold_is_refused(
    section: str, line: str, refused: str
) -> None:
    with pytest.raises(Refusal, match=refused) as caught:
        study_objects(study_text(**{section: line}))
    assert "secret" not in str(caught.value)


def test_folders_on_the_volume_and_addresses_without_a_password_pass() -> None:
    text = study_text(
        study='data_root = "/work/rows"\nencoder_folder = "/work/mine"',
        tracking='optuna = "postgresql://me@db/optuna"',
    )
    study_objects(text.replace('"pocket"', '"/work/bases/mine"'))
    with pytest.raises(Refusal, match=r"study\.encoder is '\./mine'"):
        study_objects(text.replace('"pocket"', '"./mine"'))


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"overlay": Overlay.GPU}, "needs 0 GPUs.*'gpu' is for studies with GPUs"),
        ({"image": "registry/transfer-search:latest"}, "not pinned"),
        ({"image": "registry/x@sha256:12"}, "not pinned"),
        ({"image": "x; rm -rf /" + DIGEST}, "not pinned"),
        ({"namespace": "My Space"}, "cannot name a namespace"),
        ({"namespace": "x\nkind: Secret"}, "cannot name a namespace"),
        ({"operator_namespace": "kube_ray"}, "--operator-namespace 'kube_ray' cannot name a name"),
        ({"operator_namespace": ""}, "cannot name a namespace"),
    ],
)
def test_targets_that_are_none_are_refused(arguments: dict[str, Any], refused: str) -> None:
    with pytest.raises(Refusal, match=refused):
        study_objects(study_text(), **arguments)


def test_a_study_too_long_for_a_config_map_is_refused() -> None:
    with pytest.raises(Refusal, match="ConfigMap holds"):
        study_objects(study_text(tail="# " + MAX_STUDY_BYTES * "x"))


def test_one_image_and_one_namespace_everywhere() -> None:
    image = "registry.example:5000/team/transfer-search" + DIGEST
    objects = study_objects(study_text(), image=image, namespace="team-a")
    assert {found["metadata"]["namespace"] for found in objects} == {"team-a"}
    assert set(images(objects)) == {image}
    assert f'"TRANSFER_SEARCH_IMAGE", "value": "{image}"' in json.dumps(objects)
    dev = study_objects(study_text(), overlay=Overlay.DEV, image="transfer-search:mine")
    assert set(images(dev)) == {"transfer-search:mine"}


@pytest.mark.parametrize("given", [{}, {"operator_namespace": "kuberay-system"}])
@pytest.mark.parametrize("overlay", [Overlay.BASE, Overlay.DEV])
def test_no_other_namespace_than_the_operator_s_is_let_in(
    given: dict[str, str], overlay: Overlay
) -> None:
    objects = study_objects(study_text(), overlay=overlay, **given)
    policies = [found["spec"] for found in objects if found["kind"] == "NetworkPolicy"]
    rules = [rule for policy in policies for rule in policy.get("ingress", ())]
    (operator,) = [peer for rule in rules for peer in rule["from"] if "namespaceSelector" in peer]
    namespace = given.get("operator_namespace", "default")
    assert operator == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}},
    }


def images(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [part for key, part in value.items() if key == "image"]
        return own + [image for part in value.values() for image in images(part)]
    if isinstance(value, list):
        return [image for part in value for image in images(part)]
    return []


def test_a_study_s_cluster_is_the_interactive_one_but_for_name_and_sizes() -> None:
    interactive = one(ray_objects(Overlay.BASE), "RayCluster")["spec"]
    ours = one(study_objects(study_text("mine")), "RayJob")["spec"]["rayClusterSpec"]
    head = ours["headGroupSpec"]["template"]["spec"]
    assert head["volumes"].pop() == {"name": "study", "configMap": {"name": "mine-study"}}
    assert head["containers"][0]["volumeMounts"].pop()["name"] == "study"
    (group,) = interactive["workerGroupSpecs"]
    group |= {"replicas": 1, "minReplicas": 1, "maxReplicas": 1}
    assert yaml.safe_load(to_yaml([interactive]).replace("interactive", "mine")) == ours


def test_patches_add_and_replace_and_nothing_else() -> None:
    manifest: Manifest = {"a": {"b/c": 1, "d": [{"e": 2}]}}
    apply_patch(
        manifest,
        [
            {"op": "replace", "path": "/a/b~1c", "value": 3},
            {"op": "add", "path": "/a/d/0/f", "value": 4},
            {"op": "add", "path": "/a/d/-", "value": 5},
        ],
    )
    assert manifest == {"a": {"b/c": 3, "d": [{"e": 2, "f": 4}, 5]}}
    with pytest.raises(ValueError, match="'remove'"):
        apply_patch(manifest, [{"op": "remove", "path": "/a"}])
