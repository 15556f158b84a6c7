"""The text of a new study file, with a comment on each guess."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from search.init.draft import BATCH_SIZE, TaskDraft
from spaces.phases import POOLED
from spaces.study_file.sections import POCKET
from spaces.study_file.study import StudySettings
from spaces.tasks.task import TaskKind

USUAL = "xtreme-base"  # the shipped study whose encoder and learning rates a new study gets
WIDTH = 100


def study_text(draft: TaskDraft, *, study: str, task: str, rows: str, encoder: str | None) -> str:
    """The study file.

    Args:
        study: the name of the study.
        task: the name of its task.
        rows: the folder of its rows, relative to the file.
        encoder: `pocket`, a name on the hub or a folder; None for the usual encoder.
    """
    is_pocket = encoder == POCKET
    usual = StudySettings.load("pocket" if is_pocket else USUAL)
    is_trained = draft.kind not in (TaskKind.MLM, TaskKind.RETRIEVAL)
    intermediate_steps = 100 if is_pocket else 2000
    environment = Environment(
        loader=PackageLoader("search", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is TOML, and every value goes through `toml`
    )
    environment.filters["toml"] = toml
    return environment.get_template("study.toml.j2").render(
        title=_title(draft),
        study=study,
        task=task,
        rows=rows,
        draft=draft,
        is_pocket=is_pocket,
        is_pooled=is_pocket and draft.kind in POOLED,  # other encoders have it by default
        encoder=encoder or usual.study.encoder,
        revision=None if encoder else usual.study.revision,
        options=_options(draft.kind, is_pocket=is_pocket),
        rates=usual.space.target_learning_rate,
        targets=_targets(draft.kind, task, is_pocket=is_pocket),
        batch_size=BATCH_SIZE,
        intermediate_steps=intermediate_steps,
        intermediate_length=64 if is_pocket else 128,
        target_steps=draft.num_steps if is_trained else intermediate_steps,
        target_length=min(draft.max_length, 128) if is_pocket else draft.max_length,
        is_trained=is_trained,
        num_trials=8 if is_pocket else 16,
    )


def toml(value: Any) -> str:
    """A value as TOML: text, numbers, lists (in several lines where they are long) and tables."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list | tuple):
        items = [toml(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) < WIDTH - 20 else _lines(items)
    if isinstance(value, float):
        short = f"{value:.3e}" if value < 0.01 else f"{value:.4g}"  # 5e-4 and 0.25
        return re.sub(r"\.?0*e-0?", "e-", short)
    # A text of JSON is one of TOML, but for this character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml(name)


def _lines(items: list[str]) -> str:
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) > WIDTH - 8:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{item},"
    return "[\n    " + "\n    ".join(lines) + "\n]"


def _title(draft: TaskDraft) -> str:
    if draft.kind is TaskKind.MLM:
        return "Does masking this text beside an intermediate task help in other languages?"
    pairs = " of pairs" if draft.is_pair else ""
    return f"{draft.kind.value.capitalize()}{pairs}: which task, trained first, helps it most?"


def _options(kind: TaskKind, *, is_pocket: bool) -> list[str]:
    if is_pocket:
        return ["none", "fact", "seq", "rel"]
    return ["none", "mnli", "squad", "hellaswag", *(["udpos"] if kind is TaskKind.TAGGING else [])]


def _targets(kind: TaskKind, task: str, *, is_pocket: bool) -> list[str]:
    """The task itself. Text alone cannot be scored; it helps targets that are shipped."""
    if kind is not TaskKind.MLM:
        return [task]
    return ["coh"] if is_pocket else ["udpos", "panx"]
