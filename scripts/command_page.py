"""Write docs/reference/commands.md from the program itself: `python -m scripts.command_page`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from search.cli.app import app

PAGE = Path(__file__).parent.parent / "docs/reference/commands.md"
PROGRAM = "transfer-search"
OPENING = """\
# Commands

This page is made from the program: `make docs` writes it, and a test compares the two.
`transfer-search COMMAND --help` prints the same.

Every reading command has `--json`. A mistake is answered in one line with the nearest known name,
and exit code 2 ([exit codes](exit-codes.md)). Where an option names an environment variable, the
option comes first ([environment variables](environment.md)).
"""


def page() -> str:
    """The whole page as Markdown: the commands by group, each with its arguments and options."""
    root = typer.main.get_command(app)
    commands = list(_commands(root, PROGRAM))
    parts = [OPENING]
    panels = dict.fromkeys(command.rich_help_panel for _, command in commands)
    for panel in panels:
        rows = [(name, c) for name, c in commands if c.rich_help_panel == panel]
        parts.append(f"## {panel}\n\n" + _table(("command", "what it does"), map(_line, rows)))
        parts += [_section(name, command) for name, command in rows]
    return "\n".join(parts)


def _commands(group: Any, prefix: str, panel: str | None = None) -> Iterator[tuple[str, Any]]:
    """Each command by its whole name, those of a group in the group's panel."""
    for name, command in group.commands.items():
        if panel is not None:
            command.rich_help_panel = panel
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}", command.rich_help_panel)
        else:
            yield f"{prefix} {name}", command


def _line(row: tuple[str, Any]) -> tuple[str, str]:
    name, command = row
    anchor = name.replace(" ", "-")
    return f"[`{name.removeprefix(PROGRAM + ' ')}`](#{anchor})", _paragraphs(command)[0]


def _section(name: str, command: Any) -> str:
    context = typer.Context(command)
    params: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and "--help" not in param.opts:
            params[param.param_type_name].append((f"`{record[0]}`", record[1]))
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"### `{name}`", "\n\n".join(_paragraphs(command)), f"```\n{usage}\n```"]
    parts += [_table((kind, ""), rows).rstrip() for kind, rows in params.items() if rows]
    return "\n\n".join(parts) + "\n"


def _paragraphs(command: Any) -> list[str]:
    return [" ".join(part.split()) for part in command.help.split("\n\n")]


def _table(head: tuple[str, str], rows: Any) -> str:
    lines = [head, ("---", "---"), *rows]
    return "".join(f"| {a.replace('|', chr(92) + '|')} | {b.strip()} |\n" for a, b in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
