import ast
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trainables
from trainables.store.folders import (
    CorruptedError,
    check_folder,
    optimizer_tensors,
    read_document,
    read_tensors,
    rename_new,
    restore_optimizer,
    write_folder,
)

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "step": torch.tensor(3.0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = tmp_path / "written"
    write_folder(written, {"model": STATE, "best": {}}, {"progress": {"step": 3, "loss": 0.1}})
    return written


def test_what_was_written_is_read(folder: Path) -> None:
    check_folder(folder)
    read = read_tensors(folder, "model")
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[name], STATE[name]) for name in STATE)
    assert read_tensors(folder, "best") == {}
    assert read_document(folder, "progress") == {"step": 3, "loss": 0.1}
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "hashes.json",
        "model.safetensors",
        "progress.json",
    ]


def test_weights_that_lie_anyhow_in_memory_are_written(tmp_path: Path) -> None:
    wide = torch.arange(12.0).view(3, 4)
    write_folder(tmp_path / "x", {"m": {"turned": wide.t(), "cut": wide[:, 1:2]}}, {})
    read = read_tensors(tmp_path / "x", "m")
    assert torch.equal(read["turned"], wide.t())
    assert torch.equal(read["cut"], wide[:, 1:2])


FILES = ["best.safetensors", "hashes.json", "model.safetensors", "progress.json"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 10**6), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(folder: Path, name: str, index: int, bit: int) -> None:
    path = folder / name
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[index % len(whole)] ^= 1 << bit
    path.write_bytes(flipped)
    try:
        if name == "hashes.json" and _means_the_same(whole, bytes(flipped)):
            return
        with pytest.raises(CorruptedError):
            check_folder(folder)
    finally:
        path.write_bytes(whole)


def _means_the_same(one: bytes, other: bytes) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 1, -1])
def test_a_file_cut_short_is_noticed(folder: Path, name: str, keep: int) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptedError, match="written"):
        check_folder(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CorruptedError):
        check_folder(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '"x"', "", "{"])
def test_hashes_that_are_none_make_no_whole_folder(folder: Path, text: str) -> None:
    (folder / "hashes.json").write_text(text)
    with pytest.raises(CorruptedError):
        check_folder(folder)


def test_one_file_can_be_checked_alone(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    check_folder(folder, only="progress.json")
    with pytest.raises(CorruptedError):
        check_folder(folder, only="model.safetensors")
    with pytest.raises(CorruptedError):
        check_folder(folder, only="other.json")


def test_unreadable_files_name_themselves(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(CorruptedError, match=r"model\.safetensors"):
        read_tensors(folder, "model")
    (folder / "progress.json").write_text("{")
    with pytest.raises(CorruptedError, match=r"progress\.json"):
        read_document(folder, "progress")


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_folder(tmp_path / "x", {}, {"record": {"loss": float("nan")}})


def test_the_first_to_take_a_name_has_it(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "file").write_text(text)
    assert rename_new(tmp_path / "first", tmp_path / "deep" / "name")
    assert not rename_new(tmp_path / "second", tmp_path / "deep" / "name")
    assert (tmp_path / "deep" / "name" / "file").read_text() == "first"
    assert sorted(os.listdir(tmp_path)) == ["deep"]


def test_an_optimizer_goes_on_as_it_was() -> None:
    def steps(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter, count: int) -> None:
        for _ in range(count):
            weight.grad = weight.detach() ** 2
            optimizer.step()

    def fresh(values: torch.Tensor) -> tuple[torch.optim.Optimizer, torch.nn.Parameter]:
        weight = torch.nn.Parameter(values.clone())
        unused = torch.nn.Parameter(torch.zeros(1))
        return torch.optim.AdamW([unused, weight], lr=0.1), weight

    optimizer, weight = fresh(torch.tensor([1.0, -2.0]))
    steps(optimizer, weight, 3)
    other, other_weight = fresh(weight.detach())
    restore_optimizer(other, {k: v.clone() for k, v in optimizer_tensors(optimizer).items()})
    steps(optimizer, weight, 3)
    steps(other, other_weight, 3)
    assert torch.equal(weight, other_weight)


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}


def test_nothing_of_ours_is_pickled() -> None:
    """A pickle from a shared folder runs whatever code it likes. (Babel's own data, installed
    beside our code, are pickles.)"""
    top = Path(trainables.__path__[0]).parent
    packages = ("spaces", "trainables", "search")
    sources = [path for name in packages for path in (top / name).rglob("*.py")]
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom) and path.name != "cldr.py":
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                counts_cores = modules == {"joblib", "cpu_count"}  # nothing of it but that
                assert counts_cores or not PICKLES & modules, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("torch", "save"), ("torch", "load")}, (
                    path
                )
