"""What a public function returns, and what a class holds, has a type: `Any` is counted by room."""

import ast
import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.test_packaging import MODULES, ROOT

# Room -> how many of its results and fields may have `Any` in their type. Rooms that are not named
# have none. A number may only become smaller.
ALLOWED = {
    "search": 4,  # the findings; api.predict and serving.py: predictions have the shape of the task
    "search.cluster": 2,  # Kubernetes manifests: their schema is that of Kubernetes
    "search.degradation": 5,
    "search.driver": 2,  # Ray's searcher interface, and events as workers report them
    "search.record": 19,  # JSON as MLflow's files hold it
    "search.report": 5,
    "search.sampling": 8,  # params and attributes as Optuna keeps them
    "search.trials": 13,
    "spaces": 10,  # params of points
    "spaces.study_file": 2,  # tables as a study file has them
    "trainables": 3,
    "trainables.encoders": 3,
    "trainables.exporting": 5,
    "trainables.features": 1,
    "trainables.formats": 4,
    "trainables.row_files": 2,  # rows as files have them, before a reader makes examples
    "trainables.rows": 10,  # and as the hub has them
    "trainables.scoring": 8,
    "trainables.store": 3,
    "trainables.training": 7,
}
Trees = Mapping[str, ast.Module]


def names_in(annotation: ast.expr | None) -> set[str]:
    """The names of an annotation, those of a quoted one too."""
    found = set[str]()
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError):  # help texts of options stand here too
                found |= names_in(ast.parse(node.value, mode="eval").body)
    return found


def untyped_names(tree: ast.Module, imported: Mapping[str, set[str]]) -> set[str]:
    """`Any`, and the names of a module that stand for a type with `Any` in it: `Json`."""
    found = {"Any"}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in imported:
            found |= {a.asname or a.name for a in node.names if a.name in imported[node.module]}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            found |= names if names_in(node.value) & found else set()
    return found


def annotations(
    body: list[ast.stmt], prefix: str, *, is_class: bool = False
) -> Iterator[tuple[str, ast.expr | None]]:
    """What public functions and methods return, and the fields of public classes, by name."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found = [(name, node.returns)]
            case ast.AnnAssign(target=ast.Name(id=name)) if is_class:
                found = [(name, node.annotation)]
            case ast.ClassDef(name=name):
                found = list(annotations(node.body, name, is_class=True))
            case _:
                continue
        if not name.startswith("_"):
            yield from ((f"{prefix}.{inner}", annotation) for inner, annotation in found)


def untyped_results(trees: Trees) -> dict[str, list[str]]:
    """Room -> its functions, methods and fields whose type has `Any` in it."""
    aliases: dict[str, set[str]] = {}
    while (found := {name: untyped_names(t, aliases) for name, t in trees.items()}) != aliases:
        aliases = found
    rooms = defaultdict(list)
    for name, tree in trees.items():
        for place, annotation in annotations(tree.body, name):
            if names_in(annotation) & aliases[name]:
                rooms[name.rpartition(".")[0]].append(place)
    return dict(rooms)


def test_any_is_found_behind_an_alias_in_quotes_and_in_a_class() -> None:
    sources = {
        "room.first": "from typing import Any\nJson = dict[str, Any]\ndef read() -> Json: ...",
        "room.second": """
from room.first import Json as Raw
Rows = list[Raw]
class Kept:
    rows: "Rows"
    name: str
    _hidden: Rows
    def to_dict(self) -> dict[str, int]: ...
    def raw(self) -> Raw | None: ...
class _Private:
    rows: Rows
def _read() -> Rows: ...
def take(rows: Rows) -> int: ...
""",
    }
    found = untyped_results({name: ast.parse(source) for name, source in sources.items()})
    assert found == {"room": ["room.first.read", "room.second.Kept.rows", "room.second.Kept.raw"]}


def test_results_and_fields_have_types() -> None:
    trees = {
        ".".join(module.with_suffix("").parts): ast.parse((ROOT / module).read_text())
        for module in MODULES
    }
    found = untyped_results(trees)
    assert found["search.cluster"], "the search for `Any` finds nothing any more"
    more = {room: names for room, names in found.items() if len(names) > ALLOWED.get(room, 0)}
    assert not more, "give these results a type: a frozen dataclass, or JsonObject where it is JSON"
