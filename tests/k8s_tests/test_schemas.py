"""Every manifest that is built or rendered passes the schemas of Kubernetes and of KubeRay."""

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from search.cluster.manifests import Command, Manifest, Overlay, ray_objects, study_objects
from spaces.study_file.study_text import read_text
from tests.k8s_objects import BUILT, RENDERED, ROOT, build, render

VERSION = "1.33"  # of Kubernetes: the oldest that docs/how-to/kubernetes.md speaks of


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
def test_what_kustomize_builds_is_valid(name: str, kuberay: dict[str, Any]) -> None:
    for found in build(name):
        _check_schema(found, kuberay)


@pytest.mark.parametrize(("study", "command", "overlay"), RENDERED)
def test_what_is_rendered_is_valid(
    study: str, command: Command, overlay: Overlay, kuberay: dict[str, Any]
) -> None:
    for found in render(study, command, overlay):
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
def test_kustomize_and_render_patch_alike(overlay: Overlay) -> None:
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
