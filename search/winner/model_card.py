"""The sections of a model's card after its scores: intended use, licences of the data, how to ask
it. The folder's writer adds how other libraries load it (`load_notes`). Pure."""

import json
from collections.abc import Mapping, Sequence

from spaces.languages import get_language, known_language
from spaces.tasks.task import Task, TaskKind

_ROWS: Mapping[TaskKind, str] = {
    TaskKind.CLASSIFICATION: '{"text_a": "...", "text_b": "..."}',
    TaskKind.CHOICE: '{"text": "...", "choices": ["...", "..."]}',
    TaskKind.SPAN: '{"question": "...", "context": "..."}',
    TaskKind.TAGGING: '{"words": ["...", "..."]}',
    TaskKind.RETRIEVAL: '{"text": "..."}',
}
_PIPELINES: Mapping[TaskKind, str] = {
    TaskKind.CLASSIFICATION: "text-classification",
    TaskKind.TAGGING: "token-classification",
    TaskKind.RETRIEVAL: "sentence-similarity",
}


def head(task: Task, languages: Sequence[str]) -> str:
    """The front matter of the card, as the Hugging Face hub reads it."""
    tags = ["transfer-search", task.name]
    lines = [f"language: {json.dumps(list(languages))}", f"tags: {json.dumps(tags)}"]
    if task.kind in _PIPELINES:
        lines.append(f"pipeline_tag: {_PIPELINES[task.kind]}")
    return "\n".join(["---", *lines, "library_name: transformers", "---", ""])


def sections(
    task: Task,
    *,
    languages: Sequence[str],
    licences: Mapping[str, str | None],
    cautions: Sequence[str] = (),
) -> str:
    """The sections after the scores.

    Args:
        languages: the languages that the model was scored in.
        licences: the licence of the rows it was trained on, by source; None is not known.
        cautions: sentences that users of the model must know.
    """
    names = ", ".join(known.name for code in languages if (known := known_language(code)))
    source = get_language(task.source_language).name
    trained = f"Its last phase was trained in {source} only"
    if not task.trains:
        trained = "It was not trained on pairs of sentences"
    lines = [
        "",
        "## Intended use",
        "",
        f"Research on cross-lingual transfer, and {task.kind} of text like that of the task "
        f"`{task.name}`, in the languages that it was scored in: {names}. {trained}. How well it "
        "works in other languages and on other text is not known. A score above is a mean and "
        "promises nothing for a single row. The model repeats the biases of its data.",
        "",
        "## Data",
        "",
        "| trained on | licence |",
        "|---|---|",
        *(f"| {name} | {licence or 'not known'} |" for name, licence in licences.items()),
        "",
        "The encoder that it started from has its own licence and its own training data.",
        "",
        "## Use",
        "",
        "```",
        f"echo '{_ROWS[task.kind]}' | transfer-search predict DIR",
        "```",
    ]
    if cautions:
        lines += ["", "## Beware", "", *(f"- {caution}" for caution in cautions)]
    return "\n".join([*lines, ""])
