"""The page of the record names every run, tag, param, metric and file that is written."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.record import entries
from search.trials.ranking import TrialState
from trainables.scoring.scores import XTREME_GROUPS, Mark, Scores

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "record.md"
HEADINGS = {
    "study": "Study run",
    "trial": "Trial run",
    "phase": "Phase run",
    "retrain": "Retrain and its runs",
    "retrain_run": "Retrain and its runs",
}
Names = dict[str, set[str]]  # `tag`, `param`, `metric` or `file` -> names


def documented(role: str) -> Names:
    """The names of a run as its table has them; `as a trial run` stands for a trial's scores."""
    text = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (part,) = [part for part in text if part.startswith(f"{HEADINGS[role]}\n")]
    found: Names = defaultdict(set)
    for line in re.findall(r"^\|(.*)\|$", part, flags=re.MULTILINE):
        cells = [cell.strip() for cell in line.split("|")]
        if HEADINGS[role] == HEADINGS["retrain"] and cells.pop(0).replace(" ", "_") != role:
            continue
        if cells[1] == "as a trial run":
            found["metric"] |= {n for n in documented("trial")["metric"] if is_score(n)}
        elif cells[0] in ("tag", "param", "metric", "file"):
            found[cells[0]].add(cells[1].strip("`"))
    return found


def is_score(name: str) -> bool:
    others = ("objective", "transfer_gain", "paired_gain", "largest_drop", "seconds")
    return name.partition(".")[0] not in others


def pattern(name: str) -> re.Pattern[str]:
    """`zero_shot.TASK.LANGUAGE` with any value for its capitals; the last one may have dots."""
    parts = re.split(r"\b([A-Z]+)\b", name)  # every second one is in capitals
    any_value = ["[^./]+"] * (len(parts) // 2)
    if not parts[-1]:
        any_value[-1:] = [".+"]
    values = iter(any_value)
    return re.compile(
        "".join(next(values) if place % 2 else re.escape(part) for place, part in enumerate(parts))
    )


def written(found: Iterable[entries.Entry], role: str) -> Names:
    names: Names = defaultdict(set)
    for entry in found:
        if entry["labels"]["role"] != role:
            continue
        names["tag"] |= entry["labels"].keys() | entry.get("tags", {}).keys()
        names["param"] |= entry.get("params", {}).keys()
        names["metric"] |= entry.get("metrics", {}).keys()
        names["file"] |= entry.get("files", {}).keys() | entry.get("paths", {}).keys()
    names["tag"].discard("role")
    return names


@pytest.fixture
def everything(planted: Any) -> list[entries.Entry]:
    """An entry of every kind, with all that it may have."""
    return [*_of_search(planted), *_of_retrain(planted)]


def _of_search(planted: Any) -> Iterator[entries.Entry]:
    settings = {"study": {"name": "pocket"}, "space": {"targets": ["rel"]}}
    yield entries.study_started("pocket", settings=settings, digest="d", versions={"torch": "2"})
    rows = [
        replace(row, values={"hours": 0.5}, seconds={"training": 1.0}, num_reused=1)
        for row in planted.study_rows()
    ]
    whole = replace(rows[3], scores=_all_of_xtreme(planted), largest_drop=0.1, is_feasible=False)
    for row in (*rows, whole):
        yield entries.trial_entry(row, baseline=rows[0])
    labels = entries.trial_labels(3)
    yield entries.outcomes_entry(labels, name="0003", files={"rel": "/tmp/rel"})
    gains = entries.gains_entry({3: {"paired_gain": 0.1}}, {3: {"feasible": "false"}})
    yield {"labels": labels, "metrics": gains["gains"]["3"], "tags": gains["tags"]["3"]}
    phase = planted.phase_row("key")
    yield entries.phase_entry(phase, plan_phase={})
    yield entries.study_finished("pocket", rows=rows, phases=[phase], summary={}, best=whole)
    yield entries.study_described("pocket", note="", figures={"heatmap": "<svg/>"})


def _of_retrain(planted: Any) -> Iterator[entries.Entry]:
    yield entries.retrain_locked("trial-3", lock={})
    yield entries.retrain_entry(
        "trial-3",
        seed=81,
        role="winner",
        plan=planted.plan("fact"),
        phase_keys=["a"],
        state=TrialState.SCORED,
        scores=_all_of_xtreme(planted),
        validation=planted.scores(0.5),
    )
    labels = entries.retrain_labels("trial-3", seed=81, role="winner")
    yield entries.outcomes_entry(labels, name="winner", files={"rel": "/tmp/rel"})
    yield entries.retrain_closed("trial-3", summary={})


def _all_of_xtreme(planted: Any) -> Scores:
    """Scores of all nine tasks, so that they have an average; each target collapsed."""
    tasks = tuple(task for group in XTREME_GROUPS.values() for task in group)
    targets = tuple(
        planted.target_scores(task, {"en": 0.8, "de": 0.5}, mark=Mark.COLLAPSED) for task in tasks
    )
    return Scores(targets=targets, of_interest=tasks)


@pytest.mark.parametrize("role", HEADINGS)
def test_the_page_names_what_a_run_has_and_nothing_else(
    role: str, everything: list[entries.Entry]
) -> None:
    names, page = written(everything, role), documented(role)
    for kind in ("tag", "param", "metric", "file"):
        known = {name: pattern(name) for name in page[kind]}
        unknown = {n for n in names[kind] if not any(p.fullmatch(n) for p in known.values())}
        assert not unknown, f"{role}: no {kind} of the page is {sorted(unknown)}"
        gone = {n for n, p in known.items() if not any(p.fullmatch(w) for w in names[kind])}
        assert not gone, f"{role}: no {kind} is written as {sorted(gone)}"
