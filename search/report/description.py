"""The findings of a study as Markdown: the description of its run in MLflow's UI."""

import re
from collections.abc import Iterator, Sequence

from search.display.number_format import percent, points
from search.findings.find import find
from search.findings.findings import Findings
from search.record.reader import StudyRecord
from search.record.writer import RecordWriter
from search.report.figures import figures
from search.report.pareto_views import objective_sentences, pareto_heads, pareto_rows
from search.report.sentences import closing, collapsed_seeds, sentences

MAX_ROWS = 10  # of trials, and of intermediates: a tag holds 8,000 characters


def describe(log: RecordWriter, record: StudyRecord) -> None:
    """Write the findings into the description of the study's run in MLflow. The text names targets
    that were scored under different protocols."""
    findings = find(record, force=True)
    log.study_described(note=study_note(findings), figures=figures(findings))


def study_note(findings: Findings) -> str:
    """The answer first, then the best trials, the Pareto set of several objectives, gains by
    target, and how the study ran."""
    parts = [
        *(_text(line) for line in (*sentences(findings), *objective_sentences(findings))),
        "\n".join(_trials(findings)),
        "\n".join(_pareto(findings)),
        "\n".join(_gains(findings)),
        *(_text(line) for line in closing(findings)),
    ]
    return "\n\n".join(part for part in parts if part)


def _trials(findings: Findings) -> Iterator[str]:
    best = findings.ranked_trials[:MAX_ROWS]
    if best:
        yield from _head("trial", "intermediate", "objective", "zero-shot mean", "gap", "gain")
    for trial in best:
        yield _row(
            trial.number,
            trial.label,
            percent(trial.objective),
            percent(trial.zero_shot_mean),
            percent(trial.transfer_gap),
            points(trial.transfer_gain),
        )


def _pareto(findings: Findings) -> Iterator[str]:
    rows = pareto_rows(findings)[:MAX_ROWS]
    if rows:
        yield from _head(*pareto_heads(findings))
        yield from (_row(*cells) for cells in rows)


def _gains(findings: Findings) -> Iterator[str]:
    rows, tasks = findings.gains.rows, list(findings.gains.baseline)
    if rows:
        yield from _head("gain of", *tasks, "mean")
    for row in rows[:MAX_ROWS]:
        cells = (
            " ".join([points(row.gains.get(task)), collapsed_seeds(row, task)]).strip()
            for task in tasks
        )
        yield _row(row.label, *cells, points(row.mean))


def _head(*names: str) -> Sequence[str]:
    return [_row(*names), "|" + "---|" * len(names)]


def _row(*cells: object) -> str:
    return "| " + " | ".join(_text(str(cell)) for cell in cells) + " |"


def _text(text: str) -> str:
    """The text with every character escaped that Markdown or HTML reads as markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$])", r"\\\1", " ".join(text.split()))
