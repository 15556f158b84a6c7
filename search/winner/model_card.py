"""What a model's card says beside its scores: what it is for, its data's licences, how to load it.
Pure."""

import json
from collections.abc import Mapping, Sequence

from spaces.languages import get_language, known_language
from spaces.task_catalog import Task, TaskKind

_ROWS: Mapping[TaskKind, str] = {
    TaskKind.CLASSIFICATION: '{"text_a": "...", "text_b": "..."}',
    TaskKind.CHOICE: '{"text": "...", "choices": ["...", "..."]}',
    TaskKind.SPAN: '{"question": "...", "context": "..."}',
    TaskKind.TAGGING: '{"words": ["...", "..."]}',
    TaskKind.RETRIEVAL: '{"text": "..."}',
}
_MEAN = (
    "Its head reads the mean of all tokens, which no class of transformers does: `AutoModel` loads "
    "the encoder, and `transfer-search predict` or `mlflow.pyfunc` the whole."
)
_HEADS: Mapping[TaskKind, str] = {
    TaskKind.CLASSIFICATION: _MEAN,
    TaskKind.CHOICE: _MEAN,
    TaskKind.SPAN: "`AutoModelForQuestionAnswering` loads the whole model: logits of the first and "
    "the last token of the answer. `transfer-search predict` cuts long contexts into windows too.",
    TaskKind.TAGGING: "`AutoModelForTokenClassification` and the pipeline `token-classification` "
    "load the whole model; a word's tag is that of its first piece.",
    TaskKind.RETRIEVAL: "There is no head: a sentence's vector is the mean of all tokens at one "
    "layer, which `transfer-search predict` gives; `AutoModel` loads the encoder.",
}


def head(task: Task, languages: Sequence[str]) -> str:
    """The front matter of the card, as the Hugging Face hub reads it."""
    tags = ["transfer-search", task.name]
    lines = [f"language: {json.dumps(list(languages))}", f"tags: {json.dumps(tags)}"]
    if task.kind is TaskKind.TAGGING:
        lines.append("pipeline_tag: token-classification")
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
        languages: those that the model was scored in.
        licences: of the rows it was trained on, by source; None is not known.
        cautions: sentences that whoever uses the model must know.
    """
    names = ", ".join(known.name for code in languages if (known := known_language(code)))
    source = get_language(task.source_language).name
    trained = f"Its last phase was trained in {source} alone"
    if not task.trains:
        trained = "It was trained on no pairs of sentences"
    lines = [
        "",
        "## Intended use",
        "",
        f"Research on cross-lingual transfer, and {task.kind} of text like that of the task "
        f"`{task.name}` in the languages that it was scored in: {names}. {trained}; what it does "
        "in other languages and on other text is not known, and a score above is a mean, not a "
        "promise for a row. It repeats what is one-sided in its data.",
        "",
        "## Data",
        "",
        "| trained on | licence |",
        "|---|---|",
        *(f"| {name} | {licence or 'not known'} |" for name, licence in licences.items()),
        "",
        "The encoder it started from has a licence and data of its own.",
        "",
        "## Use",
        "",
        "```",
        f"echo '{_ROWS[task.kind]}' | transfer-search predict DIR",
        "```",
        "",
        _HEADS[task.kind],
    ]
    if cautions:
        lines += ["", "## Beware", "", *(f"- {caution}" for caution in cautions)]
    return "\n".join([*lines, ""])
