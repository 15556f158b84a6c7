"""The text of a study file, with the files that it includes."""

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from spaces.files import read_limited
from spaces.refusal import Refusal, shown, unknown

MAX_BYTES = 1_000_000  # of a study file
INCLUDED = ("tasks", "rows")  # the tables of an included file
_INCLUDE = re.compile(r"^include\s*=\s*\[[^\]]*\][ \t]*(#.*)?$", re.MULTILINE)
_ROWS_FOLDER = re.compile(r"^rows_folder\s*=.*$", re.MULTILINE)
_STUDY = re.compile(r"^\[study\][ \t]*(#.*)?$", re.MULTILINE)


def shipped_studies() -> tuple[str, ...]:
    """The names of the studies that come with the package."""
    folder = resources.files("spaces") / "studies"
    if not folder.is_dir():
        return ()
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def read_text(study: str) -> str:
    """The text of a study file, by shipped name or path, without a byte-order mark. Raises Refusal
    where it cannot be read."""
    shipped = shipped_studies()
    if study in shipped:
        path = Path(str(resources.files("spaces") / "studies" / f"{study}.toml"))
    elif study.endswith(".toml") or "/" in study:
        path = Path(study)
    else:
        raise unknown("study", study, shipped)
    try:
        content = read_limited(path, MAX_BYTES)
        if len(content) > MAX_BYTES:
            raise _unreadable(study, f"it has more than {MAX_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except Refusal:
        raise
    except UnicodeDecodeError as error:
        raise _unreadable(
            study, f"it is not UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _unreadable(study, reason or str(error)) from error


def parse_text(text: str, study: str) -> dict[str, Any]:
    """The tables in the text of a study file. Raises Refusal where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(study, f"it is not TOML ({error})") from error
    except RecursionError as error:
        reason = "it is not TOML that can be read (brackets are nested too deeply)"
        raise _unreadable(study, reason) from error
    except ValueError as error:  # a number with thousands of digits
        raise _unreadable(study, str(error)) from error


def read_tables(study: str) -> dict[str, Any]:
    """The tables of a study file (a shipped name or a path), with those of the files that it
    includes. Raises Refusal."""
    tables = parse_text(read_text(study), study)
    for file, more in _included(tables.pop("include", []), study):
        for kind in INCLUDED:
            known, others = tables.setdefault(kind, {}), more.get(kind, {})
            if not isinstance(known, dict) or not isinstance(others, dict):
                raise Refusal(f"{study}: {kind} is not a table; expected [{kind}.NAME]")
            for name in others:
                if name in known:
                    raise Refusal(
                        f"{study}: {kind}.{name} is in the file and in {file} too; leave one out"
                    )
            tables[kind] = {**known, **others}
    return tables


def whole_text(study: str, *, rows_folder: str | None = None) -> str:
    """The text of a study file that includes nothing: the included tables stand at its end.

    Args:
        rows_folder: becomes `study.rows_folder`, for a machine where the study file lies elsewhere.

    Raises:
        Refusal: the file cannot be read, or is not laid out so that this can be done.
    """
    text, tables = read_text(study), read_tables(study)
    files = _include_list(parse_text(text, study).get("include", []), study)
    parts = [_INCLUDE.sub("", text) if files else text]
    parts += [read_text(str(Path(study).parent / file)) for file in files]
    whole = "\n".join(parts)
    if rows_folder is not None:
        line = f"\nrows_folder = {json.dumps(rows_folder)}"
        whole = _ROWS_FOLDER.sub("", whole, count=1)
        whole = _STUDY.sub(lambda found: found.group() + line, whole, count=1)
        tables["study"] = {**tables["study"], "rows_folder": rows_folder}
    if _filled(parse_text(whole, study)) != _filled(tables):
        raise Refusal(
            f"{study} cannot be made into one file: write include = [...] before all tables, and "
            "[study] as a line of its own"
        )
    return whole


def _filled(tables: dict[str, Any]) -> dict[str, Any]:
    return {name: table for name, table in tables.items() if table}


def _included(files: Any, study: str) -> list[tuple[str, dict[str, Any]]]:
    """(file, its tables) of every included file."""
    found = []
    for file in _include_list(files, study):
        path = str(Path(study).parent / file)
        try:
            tables = parse_text(read_text(path), path)
        except Refusal as error:
            raise Refusal(f"{study}, include: {error}") from None
        for name in tables:
            if name not in INCLUDED:
                raise Refusal(
                    f"{study}: the included {file} has {name!r}; an included file has tables "
                    "[tasks.NAME] and [rows.TASK] alone"
                )
        found.append((file, tables))
    return found


def _include_list(files: Any, study: str) -> list[str]:
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise Refusal(f"{study}: include is {shown(files)}; expected a list of files")
    for file in files:
        if not file.endswith(".toml"):
            raise Refusal(f"{study}: include lists {shown(file)}; expected a TOML file")
        if files.count(file) > 1:
            raise Refusal(f"{study}: include lists {shown(file)} more than once")
    return files


def _unreadable(study: str, reason: str) -> Refusal:
    return Refusal(
        f"study file {study!r} cannot be read: {reason}. Expected a TOML file, or the name of a "
        f"shipped study: {', '.join(shipped_studies())}"
    )
