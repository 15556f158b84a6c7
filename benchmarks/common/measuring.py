"""Code that all benchmarks share: a line with its ratio, the machine, the page of results.

Only `publish` and `machine` have side effects or depend on the machine.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "faiss-cpu", "ray", "optuna", "mlflow")
HEADING = """# Measured

Written by `make bench` ([docs/benchmarks.md](../docs/benchmarks.md) says what is compared). Ours
and theirs ran in turns in one run; values are medians over the turns, with the smallest and the
largest.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One comparison of our side with their side.

    Attributes:
        name: what is compared.
        ours: our values, one per turn: seconds, or a rate per second with `is_rate`.
        theirs: their values, one per turn.
        unit: unit of the values.
        is_rate: whether higher values are better.
        target: ratio that we want to reach; None if there is none.
        equal: which results of both sides were compared and found equal.
    """

    name: str
    ours: Sequence[float]
    theirs: Sequence[float]
    unit: str
    is_rate: bool = False
    target: float | None = None
    equal: str = ""

    @property
    def ratios(self) -> list[float]:
        """How many times better our side is, one ratio per turn."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours / theirs if self.is_rate else theirs / ours for ours, theirs in pairs]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "ratio": statistics.median(self.ratios),
            "ratios": self.ratios,
            "target": self.target,
            "equal": self.equal,
        }


def spread(values: Sequence[float]) -> str:
    """Format median, smallest and largest value with three figures: `3.1 (2.9-3.3)`; a single value
    has no range."""
    median = figures(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({figures(min(values))}-{figures(max(values))})"


def figures(value: float) -> str:
    """Format a number with three figures and without an exponent: 0.0123, 1.23, 12345."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(lines: Sequence[Line]) -> str:
    rows = ["| | ours | theirs | unit | ratio | wanted | equal |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        wanted = "" if line.target is None else f">= {figures(line.target)}"
        cells = [line.name, spread(line.ours), spread(line.theirs), line.unit]
        rows.append(f"| {' | '.join([*cells, spread(line.ratios), wanted, line.equal])} |")
    return "\n".join(rows)


def with_section(page: str, name: str, section: str) -> str:
    """Return the page with this benchmark's section, which replaces the earlier one or is added at
    the end."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    block = f"{start}{section.rstrip()}\n{end}"
    before, marker, rest = page.partition(start)
    if not marker:
        return f"{page.rstrip()}\n\n{block}"
    return before + block + rest.partition(end)[2]


def publish(
    name: str,
    lines: Sequence[Line],
    *,
    facts: Mapping[str, Any],
    results: Path | None,
) -> None:
    """Print the table and JSON; if `results` is given, also write them to that page."""
    where = {**machine(), "versions": versions()}
    print(f"{table(lines)}\n" if lines else "")
    print(
        json.dumps(
            {"name": name, "lines": [line.to_dict() for line in lines], **facts, "where": where},
            indent=1,
        )
    )
    if results is None:
        return
    page = results.read_text(encoding="utf-8") if results.exists() else HEADING
    fact_list = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    lines_table = f"{table(lines)}\n\n" if lines else ""
    section = f"## {name}\n\n{lines_table}{fact_list}\n- on {described(where)}"
    results.write_text(with_section(page, name, section), encoding="utf-8")


def described(where: Mapping[str, Any]) -> str:
    """Return date, machine and versions in one line."""
    libraries = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    return (
        f"{where['date']}, {where['processor']}, {where['cores']} cores, {where['threads']} "
        f"thread(s) a process, Python {where['python']}, {libraries}"
    )


def machine() -> dict[str, Any]:
    """Return what the numbers depend on besides the code: date, processor, load, threads."""
    processor = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        names = [row for row in listed.read_text().splitlines() if row.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the LIBRARIES that are installed."""
    installed = {}
    for name in LIBRARIES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call took, and its result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def in_turns(
    sides: Mapping[str, Callable[[], tuple[float, Any]]], *, num_turns: int
) -> dict[str, tuple[list[float], list[Any]]]:
    """Run all sides in turns and return each side's values and results, one per turn.

    Every second turn has the reverse order, so that no side is always the first.
    """
    measured: dict[str, tuple[list[float], list[Any]]] = {name: ([], []) for name in sides}
    for turn in range(num_turns):
        names = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in names:
            value, result = sides[name]()
            measured[name][0].append(value)
            measured[name][1].append(result)
    return measured


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-root", help="rows from a folder in the hub's layout; else the hub")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    return parser
