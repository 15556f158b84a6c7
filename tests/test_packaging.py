"""Our import names are ours, the wheel holds three packages, every module has its test file."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search", "trainables", "spaces")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
ROOMS = sorted({module.parent for module in MODULES})
MAX_MODULES, MAX_LINES = 15, 2200  # of a room: what one person keeps in mind
MAX_OF_CLASS, MAX_OF_FUNCTION = 200, 60  # lines


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    package, *folders, name = module.parts
    mirror = ROOT / "tests" / f"{package}_tests" / Path(*folders) / f"test_{name}"
    assert mirror.exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_foreign_owner_of_our_names(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"transfer-search"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_are_short_enough_to_read(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_classes_and_functions_have_few_enough_lines_for_one_duty(module: Path) -> None:
    limits = {
        ast.ClassDef: MAX_OF_CLASS,
        ast.FunctionDef: MAX_OF_FUNCTION,
        ast.AsyncFunctionDef: MAX_OF_FUNCTION,
    }
    longer = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse((ROOT / module).read_text()))
        if type(node) in limits and node.end_lineno - node.lineno + 1 > limits[type(node)]
    }
    assert not longer


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_room_says_its_duty_in_one_sentence_and_holds_no_code(room: Path) -> None:
    text = (ROOT / room / "__init__.py").read_text()
    assert len(room.parts) == 1 or re.fullmatch(r'"""[A-Z][^"]*\."""\n', text)
    assert len(room.parts) > 1 or not text


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_room_is_small_enough_to_keep_in_mind(room: Path) -> None:
    modules = [ROOT / module for module in MODULES if module.parent == room]
    assert len(modules) <= MAX_MODULES
    assert sum(len(path.read_text().splitlines()) for path in modules) <= MAX_LINES


def test_tasks_are_values_and_no_global_names() -> None:
    """The shipped tasks are named by commands and files that have no study at hand."""
    named = {
        str(module)
        for module in MODULES
        if module.parts[0] != "spaces" and "SHIPPED" in (ROOT / module).read_text()
    }
    assert named == {
        "search/base_encoder.py",  # pretrain --task
        "search/cli/tasks.py",
        "search/init/draft.py",  # writes a study
        "search/recorded_settings.py",  # a study that has just begun
        "trainables/exporting/predictor.py",  # a model folder of an earlier version
    }


def test_nothing_is_pickled_or_trusted() -> None:
    forbidden = re.compile(r"\b(pickle|torch\.(save|load)|trust_remote_code=True)\b(?!_)")
    # babel ships its own tables as pickles: bytes of an installed package, read as babel does.
    for module in set(MODULES) - {Path("trainables/pocket/cldr.py")}:
        code = re.sub(r'""".*?"""|#.*', "", (ROOT / module).read_text(), flags=re.DOTALL)
        assert not forbidden.search(code), module


def test_the_readme_tree_names_every_room() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [str(room) for room in ROOMS if f"{room.name}/" not in readme]
    assert not missing


@pytest.mark.slow
def test_the_wheel_holds_three_packages_and_their_data(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "-q",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops - {"transfer_search-0.1.0.dist-info"} == set(PACKAGES)
    assert "spaces/studies/pocket.toml" in names
    assert "search/templates/report.html.j2" in names
    assert "search/templates/ray/gpu/kustomization.yaml" in names
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith("/LICENSE") for name in names)
