"""The sections of a model's card after its scores: intended use, licences of the data, how to load
it. Pure."""

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
_MEAN = (
    "Its head reads the mean of all tokens, which no class of transformers does. `AutoModel` loads "
    "the encoder alone; `transfer-search predict` or `mlflow.pyfunc` load the whole model."
)
_HEADS: Mapping[TaskKind, str] = {
    TaskKind.CLASSIFICATION: _MEAN,
    TaskKind.CHOICE: _MEAN,
    TaskKind.SPAN: "`AutoModelForQuestionAnswering` loads the whole model; it gives the logits of "
    "the first and the last token of the answer. `transfer-search predict` also cuts long contexts "
    "into windows.",
    TaskKind.TAGGING: "`AutoModelForTokenClassification` and the pipeline `token-classification` "
    "load the whole model; the tag of a word is the tag of its first piece.",
    TaskKind.RETRIEVAL: "There is no head. The vector of a sentence is the mean of all tokens at "
    "one layer: `transfer-search predict` gives it, and `AutoModel` loads the encoder.",
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
        "",
        _HEADS[task.kind],
    ]
    if cautions:
        lines += ["", "## Beware", "", *(f"- {caution}" for caution in cautions)]
    return "\n".join([*lines, ""])
