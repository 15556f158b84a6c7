"""What a card says about loading."""

import pytest
from torch import nn

from spaces.tasks.catalogue import SHIPPED
from trainables.exporting.load_notes import load_notes


class XForSequenceClassification(nn.Module):
    pass


class XForMultipleChoice(nn.Module):
    pass


class XModel(nn.Module):
    pass


@pytest.mark.parametrize(
    ("task", "whole", "words"),
    [
        ("rel", XForSequenceClassification, ("`text-classification`", "text_a, text_b")),
        ("fact", XForMultipleChoice, ("`AutoModelForMultipleChoice`", "'only_first'")),
        ("fact", XForSequenceClassification, ("one logit", "'only_first'")),
        ("rel", XModel, ("`AutoModel` loads the encoder alone",)),
        ("fact", XModel, ("`AutoModel` loads the encoder alone",)),
        ("pos", XModel, ("`AutoModel` loads the encoder alone",)),
        ("retrieval", XModel, ("names the layer",)),
    ],
)
def test_the_class_decides(task: str, whole: type[nn.Module], words: tuple[str, ...]) -> None:
    text = load_notes(SHIPPED.get(task), whole())
    assert text.startswith("## Load\n\n")
    assert all(word in text for word in words)


def test_what_the_head_reads() -> None:
    first = load_notes(SHIPPED.get("rel"), XForSequenceClassification(), pooling="first")
    assert "Its head reads the first token. `AutoModelForSequenceClassification`" in first
    assert "the mean of all tokens." in load_notes(SHIPPED.get("fact"), XModel())
    assert "head reads" not in load_notes(SHIPPED.get("pos"), XModel(), pooling="first")


def test_sentences() -> None:
    text = load_notes(SHIPPED.get("retrieval"), XModel(), is_sentence_folder=True)
    assert "`SentenceTransformer` loads the folder" in text
