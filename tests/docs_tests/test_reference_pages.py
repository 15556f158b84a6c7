"""Pages that list what the program has are compared with the program."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from scripts import command_page
from search.record.mlmodel import ADDED
from trainables.exporting.model_folder import ABOUT, HEAD, ModelDescription

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "docs/reference"
SOURCES = [
    path
    for folder in ("search", "trainables", "spaces", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
COMMANDS = sorted((ROOT / "search/cli").glob("*.py"))
# A variable's name: capitals with an underscore, as some words of MLflow are too.
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
MLFLOWS_WORDS = {
    "BAD_REQUEST",
    "INTERNAL_ERROR",
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
    "SHOW_ALL",
}


def variables(tree: ast.AST) -> set[str]:
    """Every string that is the name of a variable: read or set, by constant, keyword or mapping."""
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in strings if NAME.fullmatch(text)} - MLFLOWS_WORDS


def touches_environment(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")


def test_every_variable_is_on_the_page() -> None:
    page = (REFERENCE / "environment.md").read_text()
    found = {name for path in SOURCES for name in variables(ast.parse(path.read_text()))}
    assert not {name for name in found if f"`{name}`" not in page}


def test_the_names_are_found_however_they_are_written() -> None:
    by_file = {path.name: variables(ast.parse(path.read_text())) for path in SOURCES}
    assert "RAY_ADDRESS" in by_file["cluster.py"]  # envvar=...
    assert "TRANSFER_SEARCH_IMAGE" in by_file["provenance.py"]  # a module's constant
    assert "RAY_AUTH_TOKEN" in by_file["jobs.py"]  # by a parameter that is os.environ
    assert "RAY_AIR_NEW_OUTPUT" in by_file["ray_runtime.py"]  # os.environ.update({...})


def test_who_touches_the_environment_names_a_variable() -> None:
    """A name that is put together at run time would not be found."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if any(touches_environment(node) for node in ast.walk(tree)):
            assert variables(tree), path


def test_every_variable_of_ours_on_the_page_is_in_the_code() -> None:
    page = (REFERENCE / "environment.md").read_text()
    ours = {name for name in re.findall(r"`([A-Z_]+)`", page) if name.startswith("TRANSFER_SEARCH")}
    known = set().union(*(variables(ast.parse(path.read_text())) for path in SOURCES))
    assert ours
    assert ours <= known


def exit_codes() -> Iterator[int]:
    """What the commands end with: `typer.Exit(CODE)`, and `Ending(CODE, ...)` of the entry
    point."""
    nodes = [node for path in COMMANDS for node in ast.walk(ast.parse(path.read_text()))]
    constants = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            name, value = ast.unparse(node.targets[0]), ast.unparse(node.value)
            names, values = name.strip("()").split(", "), value.strip("()").split(", ")
            constants |= {n: v for n, v in zip(names, values, strict=False) if n.isupper()}
            if name == "code" and value.isdigit():
                yield int(value)
    for node in nodes:
        ends = isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Exit", "Ending")
        if ends and node.args and (code := ast.unparse(node.args[0])) != "code":
            yield int(constants.get(code, code))


def test_the_exit_codes_on_the_page_are_those_of_the_program() -> None:
    page = (REFERENCE / "exit-codes.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {0, *exit_codes()}


def test_the_page_of_commands_is_the_program_s() -> None:
    assert command_page.PAGE.read_text() == command_page.page(), "`make docs` writes it again"


def test_the_page_of_the_model_folder_names_every_file_and_key() -> None:
    page = (REFERENCE / "model-folder.md").read_text()
    keys = ModelDescription.__dataclass_fields__
    missing = [name for name in (HEAD, ABOUT, *ADDED, *keys) if f"`{name}" not in page]
    assert not missing


def printed() -> list[str]:
    """Every text of the program, with nothing where a value is put in."""
    texts = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "\0" for v in node.values]
                texts.append("".join(str(part) for part in parts))
    return texts


# What others print, and words that are no line of ours.
NOT_OURS = {"OutOfMemoryError", "CUDA out of memory", "SIGKILL", "No space left on device"}


def test_the_lines_that_the_pages_quote_are_lines_of_the_program() -> None:
    texts = printed()
    for page in ("troubleshooting.md", "how-to/resume.md", "how-to/free-disk.md"):
        rows = re.findall(r"^\| ([^|]*) \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        quoted = {line for row in rows for line in re.findall(r"`([^`]+)`", row)} - NOT_OURS
        pieces = {
            piece.strip(" ()") for line in quoted if " " in line for piece in line.split("...")
        }
        missing = [p for p in pieces if p and not any(p in text for text in texts)]
        assert quoted, page
        assert not missing, page


def test_links_outside_the_site_lead_somewhere() -> None:
    """MkDocs checks the pages of docs/ itself."""
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        "examples/README.md",
        "examples/tickets/README.md",
    ):
        text = (ROOT / page).read_text()
        links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
        missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
        assert not missing, page
