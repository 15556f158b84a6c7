"""What every benchmark shares: a line with its ratio, the machine, the page of results. Pure but
for `publish` and `machine`."""

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

RESULTS = Path(__file__).parent / "RESULTS.md"
LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "faiss-cpu", "ray", "optuna", "mlflow")
HEADING = """# Measured

Written by `make bench` ([docs/benchmarks.md](../docs/benchmarks.md) says what is compared). Ours
and theirs ran in turns in one run; values are medians over the turns, with the smallest and the
largest.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Ours against theirs, one value a turn: seconds, or with `is_rate` something a second.

    `target` is the ratio that is wanted, `equal` says what of both sides' results was compared.
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
        """How many times better ours is, turn by turn."""
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
    """Median, smallest and largest to three figures: `3.1 (2.9-3.3)`; one value alone as it is."""
    median = figures(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({figures(min(values))}-{figures(max(values))})"


def figures(value: float) -> str:
    """Three figures, and no exponent: 0.0123, 1.23, 12345."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(lines: Sequence[Line]) -> str:
    rows = ["| | ours | theirs | unit | ratio | wanted | equal |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        wanted = "" if line.target is None else f">= {figures(line.target)}"
        cells = [line.name, spread(line.ours), spread(line.theirs), line.unit]
        rows.append(f"| {' | '.join([*cells, spread(line.ratios), wanted, line.equal])} |")
    return "\n".join(rows)


def with_section(page: str, name: str, section: str) -> str:
    """The page with this benchmark's section put in the place of its earlier one, or at the end."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    block = f"{start}{section.rstrip()}\n{end}"
    before, found, rest = page.partition(start)
    if not found:
        return f"{page.rstrip()}\n\n{block}"
    return before + block + rest.partition(end)[2]


def publish(
    name: str,
    lines: Sequence[Line],
    *,
    facts: Mapping[str, Any],
    results: Path | None,
) -> None:
    """Print the table and JSON; with `results`, put them on that page too."""
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
    said = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    shown = f"{table(lines)}\n\n" if lines else ""
    section = f"## {name}\n\n{shown}{said}\n- on {described(where)}"
    results.write_text(with_section(page, name, section), encoding="utf-8")


def described(where: Mapping[str, Any]) -> str:
    """Date, machine and versions in one line."""
    libraries = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    return (
        f"{where['date']}, {where['processor']}, {where['cores']} cores, {where['threads']} "
        f"thread(s) a process, Python {where['python']}, {libraries}"
    )


def machine() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
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
    """Of those libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """How long it took, and what it returned."""
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found


def in_turns(
    sides: Mapping[str, Callable[[], tuple[float, Any]]], *, num_turns: int
) -> dict[str, tuple[list[float], list[Any]]]:
    """Each side's values and results, one a turn. Every other turn goes backwards, so that none is
    always the first."""
    found: dict[str, tuple[list[float], list[Any]]] = {name: ([], []) for name in sides}
    for turn in range(num_turns):
        names = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in names:
            value, result = sides[name]()
            found[name][0].append(value)
            found[name][1].append(result)
    return found


def options(description: str) -> argparse.ArgumentParser:
    """The words that every benchmark knows."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-root", help="rows from a folder in the hub's layout; else the hub")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    return parser
