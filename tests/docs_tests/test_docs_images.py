"""The committed pictures can be read on any page; the stage tree draws what trials share once."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from scripts import docs_images

PICTURES = sorted(docs_images.IMAGES.glob("*.svg"))
MAX_BYTES = 100_000


def trial(number: int, label: str, rate: float | None, target: float) -> dict[str, Any]:
    rates = {"intermediate": rate, "target": [target]}
    return {"number": number, "label": label, "rates": rates, "zero_shot_mean": 0.5}


TRIALS = [
    trial(0, "baseline", None, 1e-3),
    trial(1, "fact", 5e-4, 1e-3),
    trial(2, "seq <x>", 5e-4, 1e-3),
    trial(3, "fact", 5e-4, 2e-3),
    trial(4, "fact", 1e-3, 2e-3),
]


def texts(svg: str) -> list[str]:
    return [
        element.text or ""
        for element in ElementTree.fromstring(svg).iter()
        if "text" in element.tag
    ]


def test_an_equal_phase_is_drawn_once_and_in_its_colour() -> None:
    drawn = texts(docs_images.stage_tree(TRIALS))
    assert drawn.count("fact at 0.0005") == drawn.count("fact at 0.001") == 1
    assert "seq <x> at 0.0005" in drawn
    assert sum(text.startswith("trial ") for text in drawn) == len(TRIALS)
    blue = re.findall(
        rf'<text [^>]*fill="{docs_images.SHARED}">([^<]*)<', docs_images.stage_tree(TRIALS)
    )
    assert blue == ["fact at 0.0005"]


def test_the_first_figure_is_taken_out_of_a_report() -> None:
    figures = ["<figcaption>a</figcaption><svg width='1'><g/></svg>", "<svg/>"]
    page = "".join(f"<figure>{figure}</figure>" for figure in figures)
    found = docs_images.first_figure(page)
    assert found.startswith("<svg width='1' xmlns=")
    assert found.count("<svg") == 1


def test_a_report_without_figures_is_refused() -> None:
    with pytest.raises(SystemExit, match="no figure"):
        docs_images.first_figure("<html></html>")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_has_ink_for_light_and_dark_pages(path: Path) -> None:
    text = path.read_text()
    assert len(text) < MAX_BYTES
    assert docs_images.THEME in text
    assert "currentColor" in text
    assert not re.search(r'(href|src)="https?:', text)
    ElementTree.fromstring(text)


def test_there_are_pictures() -> None:
    assert [path.stem for path in PICTURES] == ["heatmap", "stage-tree"]
