"""Draw the pictures of README and docs from the record of a finished study:

    python -m scripts.docs_images pocket --home .transfer-search

`heatmap.svg` is the first figure of `report --html`; `stage-tree.svg` shows which trials shared a
phase. Both take dark ink on a light page and light ink on a dark one.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent.parent / "docs/images"
# An image in a page does not see the page's colours; it sees whether the reader's scheme is dark.
THEME = (
    "<style>svg { color: #1f2328 } "
    "@media (prefers-color-scheme: dark) { svg { color: #e6edf3 } }</style>"
)
ROW, LEFT, MIDDLE, RIGHT, WIDTH = 21, 60, 150, 400, 680  # pixels
MAX_NAME = 20  # characters of an intermediate task's name
SHARED, ALONE = "#2f81f7", "#8b949e"  # seen on white and on black


def first_figure(page: str) -> str:
    """The first SVG of a report's page, as a file of its own."""
    found = re.search(r"<figure>.*?(<svg.*?</svg>)", page, re.DOTALL)
    if found is None:
        raise SystemExit("the report has no figure: is the study finished?")
    return themed(found[1])


def themed(svg: str) -> str:
    """With ink for light and for dark pages."""
    head, rest = svg.split(">", 1)
    if "xmlns=" not in head:
        head += ' xmlns="http://www.w3.org/2000/svg"'
    text = f"{head}>{THEME}{rest}\n"
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def stage_tree(trials: Sequence[Mapping[str, Any]]) -> str:
    """The encoder at the left, the intermediate phases in the middle, the trials at the right.

    Args:
        trials: of `report --json`, the scored ones; those with an equal intermediate phase hang on
            one name, in blue.
    """
    ordered = sorted(trials, key=_stage)
    height = ROW * (len(ordered) + 1)
    parts, y = [_text(4, height / 2, "encoder")], ROW
    for _, members in groupby(ordered, key=_stage):
        group = list(members)
        parts += _branch(group, y, height / 2)
        y += ROW * len(group)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    style = 'font-family="sans-serif" font-size="12" fill="currentColor"'
    body = "\n".join(parts)
    return themed(f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>')


def _stage(trial: Mapping[str, Any]) -> tuple[str, float]:
    rate = trial["rates"]["intermediate"]
    return ("", 0.0) if rate is None else (trial["label"], rate)


def _branch(group: Sequence[Mapping[str, Any]], top: float, root: float) -> list[str]:
    """One intermediate phase and the trials that went on from it."""
    middle = top + ROW * (len(group) - 1) / 2
    rate = group[0]["rates"]["intermediate"]
    colour = SHARED if len(group) > 1 and rate is not None else ALONE
    parts = [_line(LEFT, root, MIDDLE, middle, colour)]
    if rate is None:
        parts.append(_text(MIDDLE + 6, middle, "no intermediate task", colour))
    else:
        name = f"{_short(group[0]['label'])} at {rate:g}"
        parts.append(_text(MIDDLE + 6, middle, name, colour))
    for place, trial in enumerate(group):
        y = top + ROW * place
        parts.append(_line(RIGHT - 60, middle, RIGHT, y, colour))
        targets = f"targets at {trial['rates']['target'][0]:g}"
        score = f"{100 * trial['zero_shot_mean']:.1f} %"
        parts.append(_text(RIGHT + 6, y, f"trial {trial['number']}: {targets}, {score}"))
    return parts


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    bend = (x1 + x2) / 2
    way = f"M{x1:g} {y1:g} C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"
    return f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _text(x: float, y: float, words: str, colour: str = "currentColor") -> str:
    return f'<text x="{x:g}" y="{y + 4:g}" fill="{colour}">{escape(words)}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--home", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report = [sys.executable, "-m", "search.cli", "report", options.study]
        place = ["--home", options.home, "--html", str(page), "--json"]
        done = subprocess.run([*report, *place], check=True, capture_output=True, text=True)
        pictures = {"heatmap": first_figure(page.read_text(encoding="utf-8"))}
    trials = [trial for trial in json.loads(done.stdout)["trials"] if trial["state"] == "scored"]
    pictures["stage-tree"] = stage_tree(trials)
    IMAGES.mkdir(exist_ok=True)
    for name, svg in pictures.items():
        (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"wrote {IMAGES / name}.svg")


if __name__ == "__main__":
    main()
