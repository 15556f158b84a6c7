import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from spaces.study_file.study_text import read_text

Cli = Callable[..., Any]


def test_render_prints_what_kubectl_takes(cli: Cli) -> None:
    image = "registry/transfer-search@sha256:" + 64 * "b"
    result = cli("k8s", "render", "pocket", "--image", image, "--namespace", "team")
    assert result.code == 0, result.err
    objects = list(yaml.safe_load_all(result.out))
    kinds = [found["kind"] for found in objects]
    assert kinds.count("ConfigMap") == kinds.count("RayJob") == 1
    assert {found["metadata"]["namespace"] for found in objects} == {"team"}
    assert image in result.out


def test_json_is_one_list_of_the_same_objects(cli: Cli) -> None:
    retrain = ("k8s", "render", "pocket", "--retrain", "--seeds", "5")
    printed = cli(*retrain)
    listed = json.loads(cli(*retrain, "--json").out)
    assert listed["kind"] == "List"
    assert listed["items"] == list(yaml.safe_load_all(printed.out))
    (job,) = [found for found in listed["items"] if found["kind"] == "RayJob"]
    words = job["spec"]["entrypoint"].split()
    assert words == ["transfer-search", "retrain", "/etc/transfer-search/study.toml", "--seeds=5"]


def test_a_file_of_one_s_own_goes_in_as_it_is(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(read_text("pocket").replace("\n", "\r\n").encode())
    result = cli("k8s", "render", path)
    study = next(yaml.safe_load_all(result.out))
    assert study["data"]["study.toml"].encode() == path.read_bytes()


def test_refusals_are_one_line_and_print_no_manifest(cli: Cli, tmp_path: Path) -> None:
    for arguments, refused in (
        (["pockt"], "Did you mean 'pocket'?"),
        ([tmp_path / "none.toml"], "cannot be read"),
        (["pocket", "--overlay", "gpu"], "needs 0 GPUs per worker"),
        (["pocket", "--overlay", "prod"], "prod"),
        (["pocket", "--image", "x:latest"], "not pinned"),
        (["pocket", "--seeds", "5"], "needs --retrain"),
    ):
        result = cli("k8s", "render", *arguments)
        assert result.code == 2
        assert result.out == ""
        assert refused in result.err
        assert result.err.count("\n") == 1
