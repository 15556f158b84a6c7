"""The last section of a model card: which library loads the folder, and how. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from spaces.phases import POOLED, Pooling
from spaces.tasks.task import Task, TaskKind

_COMMAND = "`transfer-search predict` and `mlflow.pyfunc` load the whole model."
_PAIR = (
    "Call the tokenizer with `tokenizer({texts}, truncation={how}, padding=True)`: it cuts as in "
    "training."
)
_SEQUENCES = (
    "`AutoModelForSequenceClassification` and the pipeline `text-classification` load the whole "
    f"model. {_PAIR.format(texts='text_a, text_b', how='True')}"
)
# What ends the name of a class of transformers -> what it reads, by kind.
_WHOLE: Mapping[tuple[TaskKind, str], str] = MappingProxyType(
    {
        (TaskKind.CLASSIFICATION, "ForSequenceClassification"): _SEQUENCES,
        (TaskKind.CHOICE, "ForMultipleChoice"): "`AutoModelForMultipleChoice` loads the whole "
        "model. Its input is the pairs of the text with every choice, [rows, choices, tokens]. "
        + _PAIR.format(texts="texts, choices", how="'only_first'"),
        (
            TaskKind.CHOICE,
            "ForSequenceClassification",
        ): "Transformers has no class for multiple choice in this family. "
        "`AutoModelForSequenceClassification` loads the whole model, with one logit for a pair of "
        "the text with one choice: the choice with the highest logit is the answer. "
        + _PAIR.format(texts="texts, choices", how="'only_first'"),
        (TaskKind.SPAN, "ForQuestionAnswering"): "`AutoModelForQuestionAnswering` loads the whole "
        "model; it gives the logits of the first and the last token of the answer. "
        "`transfer-search predict` also cuts long contexts into windows.",
        (TaskKind.TAGGING, "ForTokenClassification"): "`AutoModelForTokenClassification` and the "
        "pipeline `token-classification` load the whole model; the tag of a word is the tag of its "
        "first piece.",
    }
)
_READS = {
    Pooling.FIRST: "Its head reads the first token.",
    Pooling.MEAN: "Its head reads the mean of all tokens.",
}
_ALONE = (
    "`AutoModel` loads the encoder alone, because no class of transformers for this family has its "
    "head. " + _COMMAND
)
_SENTENCES = (
    "`SentenceTransformer` loads the folder: the vector of a sentence is the mean of all tokens, "
    "and vectors are compared by their cosine. The encoder has no layers above the one that was "
    "scored. `transfer-search predict` gives the same vectors."
)
_LOWER_LAYER = (
    "The vector of a sentence is the mean of all tokens at one layer: `transfer-search predict` "
    "gives it. `AutoModel` loads the encoder; `transfer_search.json` names the layer."
)


def load_notes(
    task: Task, whole: nn.Module, *, pooling: str = Pooling.MEAN, is_sentence_folder: bool = False
) -> str:
    """The section for a folder that holds the weights of `whole`, as Markdown. `pooling` is what
    the heads of classification and choice read."""
    text = _LOWER_LAYER
    if is_sentence_folder:
        text = _SENTENCES
    elif task.kind is not TaskKind.RETRIEVAL:
        name = type(whole).__name__
        found = (words for (kind, end), words in _WHOLE.items() if _fits(task, name, kind, end))
        text = next(found, _ALONE)
    reads = f"{_READS[Pooling(pooling)]} " if task.kind in POOLED else ""
    return f"## Load\n\n{reads}{text}\n"


def _fits(task: Task, name: str, kind: TaskKind, end: str) -> bool:
    return task.kind is kind and name.endswith(end)
