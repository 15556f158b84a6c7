"""The glance on a terminal, in at most `MAX_LINES` lines where it is 80 columns wide or wider."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.display.number_format import percent, points, value_text
from search.glance.evidence import LanguageGain
from search.glance.glance import Glance
from search.glance.plans import PlanRow
from search.glance.targets import TargetRow
from search.trials.language_verdicts import Call
from spaces.refusal import one_line
from spaces.study_file.sections import Objective

MAX_LINES = 25
MAX_VERDICT = 7  # lines
MAX_NOTE = 2  # lines of a caution, and of what the table of targets means
MIN_TARGETS = 3  # rows that cautions leave to the table of targets
NUMBERS = 36  # columns of the table of targets that are not languages
NAMED = 11  # columns of one language with its gain


def show_glance(glance: Glance, console: Console) -> None:
    """Print the verdict, the best plans, who gains and loses, the cautions and the next command."""
    verdict = _wrapped(glance.verdict, console, style="bold", limit=MAX_VERDICT)
    notes = list(_notes(glance, console))
    left = MAX_LINES if _is_wide(console) else sys.maxsize
    left -= 2 + len(verdict) + len(glance.steps)
    left -= 2 + len(glance.plans) + bool(glance.pareto) if glance.plans else 0
    left -= 2 + len(notes) if glance.targets else 0
    cautions = _cautions(glance, console, max(1, left - min(MIN_TARGETS, len(glance.targets))))

    _print(console, _wrapped([glance.heading], console, limit=1))
    _print(console, verdict)
    if glance.plans:
        console.print()
        console.print(_plan_table(glance.plans, glance.objectives))
        if glance.pareto:
            _print(console, _wrapped([glance.pareto], console, style="dim", limit=1))
    if glance.targets:
        console.print()
        console.print(_target_table(glance.targets, left - len(cautions), console.width))
        _print(console, notes)
    _print(console, cautions)
    console.print()
    aims = max((len(step.aim) for step in glance.steps), default=0)
    for step in glance.steps:  # whole, so that a command can be copied
        line = Text(f"{step.aim}:".ljust(aims + 2)).append(one_line(step.command), style="bold")
        console.print(line, soft_wrap=True)


def _notes(glance: Glance, console: Console) -> Iterator[Text]:
    """What the table of targets means, and how the gap depends on distance."""
    meaning = "on {}; which differences are significant was not tested"
    if glance.is_tested:
        meaning = "*: significant (Holm) on {}"
    if not all(row.is_objective for row in glance.targets):
        meaning += "; in brackets: not in the objective"
    text = meaning.format(glance.measured_on)
    yield from _wrapped([text], console, style="dim", limit=MAX_NOTE)
    if glance.distance:
        yield from _wrapped([glance.distance], console, style="dim", limit=1)


def _cautions(glance: Glance, console: Console, limit: int) -> list[Text]:
    """As many cautions as fit, whole ones alone; the last line counts the others."""
    shown: list[Text] = []
    for index, caution in enumerate(glance.cautions):
        lines = _wrapped([f"! {caution}"], console, style="yellow", limit=MAX_NOTE)
        others = len(glance.cautions) - index - 1
        if len(shown) + len(lines) + bool(others) > limit:
            more = f"! {others + 1} more warning{'s' if others else ''}: see --full"
            return [*shown, Text(more, style="yellow")]
        shown += lines
    return shown


def _plan_table(plans: Sequence[PlanRow], objectives: Sequence[str]) -> Table:
    table = _table()
    has_seeds = any(plan.num_seeds > 1 for plan in plans)
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column(_cell("intermediate task"))
    table.add_column(_cell("rates"))
    others = [name for name in objectives if name != Objective.ZERO_SHOT_MEAN]
    heads = [*(["seeds"] if has_seeds else []), "zero-shot", "gain", *(others or ["gap"])]
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    if not others:
        table.add_column(_cell("worst language"))
    for plan in plans:
        numbers = [str(plan.num_seeds)] if has_seeds else []
        numbers += [percent(plan.zero_shot_mean), "" if plan.gain is None else points(plan.gain)]
        if others:
            numbers += [value_text(n, plan.values[n]) if n in plan.values else "" for n in others]
            last = []
        else:
            numbers.append(percent(plan.gap))
            worst = plan.worst
            named = f"{worst.task} {worst.language} {percent(worst.score)}" if worst else ""
            last = [_cell(named)]
        table.add_row(str(plan.trial), _cell(plan.label), _cell(str(plan.rates)), *numbers, *last)
    return table


def _target_table(targets: Sequence[TargetRow], max_rows: int, width: int) -> Table:
    """At most `max_rows` rows; the last one sums up the targets that are left out."""
    table = _table()
    is_tested = any(row.better is not None for row in targets)
    table.add_column(_cell("target"))
    for head in ("gain", *(("better*", "worse*") if is_tested else ())):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column(_cell("gains most"))
    table.add_column(_cell("loses most"))
    shown = targets if len(targets) <= max_rows else targets[: max_rows - 1]
    rest = targets[len(shown) :]
    num_named = max(1, (width - NUMBERS) // 2 // NAMED)
    for row in shown:
        name = row.task if row.is_objective else f"({row.task})"
        named = (_cell(_languages(cells[:num_named])) for cells in (row.gaining, row.losing))
        table.add_row(_cell(name), *_gains([row], is_tested=is_tested), *named)
    if rest:
        table.add_row(_cell(f"{len(rest)} more"), *_gains(rest, is_tested=is_tested))
    return table


def _gains(rows: Sequence[TargetRow], *, is_tested: bool) -> list[str]:
    """The mean gain of targets, and in how many of their languages it is significant."""
    gain = points(fmean(row.gain for row in rows))
    num = sum(row.num_languages for row in rows)
    counts = (sum(row.better or 0 for row in rows), sum(row.worse or 0 for row in rows))
    return [gain, *(f"{count}/{num}" for count in counts if is_tested)]


def _languages(cells: Iterable[LanguageGain]) -> str:
    """`de +44.0*, ru +23.3`: a star is a significant difference."""
    named = (
        f"{cell.language} {points(cell.mean)}{'' if cell.call in (None, Call.TIE) else '*'}"
        for cell in cells
    )
    return ", ".join(named)


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _cell(text: str) -> Text:
    """One line; its end is left out where the column is narrower."""
    return Text(one_line(text), no_wrap=True, overflow="ellipsis")


def _wrapped(
    sentences: Iterable[str], console: Console, *, limit: int, style: str = ""
) -> list[Text]:
    """The sentences as lines of the console's width, at most `limit` of them where it is wide."""
    text = Text(" ".join(map(one_line, sentences)), style=style)
    lines = list(text.wrap(console, console.width))
    if len(lines) > limit and _is_wide(console):
        last = Text(f"{lines[limit - 1].plain.rstrip()} …", style=style)
        last.truncate(console.width, overflow="ellipsis")
        lines = [*lines[: limit - 1], last]
    return lines


def _is_wide(console: Console) -> bool:
    """Whether `MAX_LINES` holds: on a narrower terminal every line is shown."""
    return console.width >= 80


def _print(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)
