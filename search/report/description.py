"""What a study found as Markdown: the description of its run in MLflow's UI."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from search.display.number_format import percent, points
from search.record.reader import StudyRecord
from search.record.writer import RecordWriter
from search.report.figures import figures
from search.report.findings import find
from search.report.pareto_views import objective_sentences, pareto_heads, pareto_rows
from search.report.sentences import closing, collapsed_seeds, sentences

Json = Mapping[str, Any]

MAX_ROWS = 10  # of trials, and of intermediates: a tag holds 8,000 characters


def describe(log: RecordWriter, record: StudyRecord) -> None:
    """Let the study's run in MLflow say what was found. Trials of unlike protocols are named."""
    found = find(record, force=True)
    log.study_described(note=study_note(found), figures=figures(found))


def study_note(found: Json) -> str:
    """The answer first, then the best trials, the Pareto set of several objectives, gains by
    target, and how it ran.

    Args:
        found: of `findings.find`.
    """
    parts = [
        *(_text(line) for line in (*sentences(found), *objective_sentences(found))),
        "\n".join(_trials(found)),
        "\n".join(_pareto(found)),
        "\n".join(_gains(found)),
        *(_text(line) for line in closing(found)),
    ]
    return "\n\n".join(part for part in parts if part)


def _trials(found: Json) -> Iterator[str]:
    by_number = {trial["number"]: trial for trial in found["trials"]}
    best = [by_number[number] for number in found["ranked"][:MAX_ROWS]]
    if best:
        yield from _head("trial", "intermediate", "objective", "zero-shot mean", "gap", "gain")
    for trial in best:
        yield _row(
            trial["number"],
            trial["label"],
            percent(trial["objective"]),
            percent(trial["zero_shot_mean"]),
            percent(trial["transfer_gap"]),
            points(trial["transfer_gain"]),
        )


def _pareto(found: Json) -> Iterator[str]:
    rows = pareto_rows(found)[:MAX_ROWS]
    if rows:
        yield from _head(*pareto_heads(found))
        yield from (_row(*cells) for cells in rows)


def _gains(found: Json) -> Iterator[str]:
    rows, tasks = found["gains"]["rows"], list(found["gains"]["baseline"])
    if rows:
        yield from _head("gain of", *tasks, "mean")
    for row in rows[:MAX_ROWS]:
        cells = (
            " ".join([points(row["gains"].get(task)), collapsed_seeds(row, task)]).strip()
            for task in tasks
        )
        yield _row(row["label"], *cells, points(row["mean"]))


def _head(*names: str) -> Sequence[str]:
    return [_row(*names), "|" + "---|" * len(names)]


def _row(*cells: Any) -> str:
    return "| " + " | ".join(_text(str(cell)) for cell in cells) + " |"


def _text(text: str) -> str:
    """With what Markdown or HTML would take for markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$])", r"\\\1", " ".join(text.split()))
