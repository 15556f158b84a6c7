import pytest

from spaces.tasks.task import Task, TaskKind
from trainables.examples import PairExample, TextExample
from trainables.formats import refusals
from trainables.formats.base import RowError

NLI = Task(
    name="nli",
    kind=TaskKind.CLASSIFICATION,
    dataset="none",
    languages=("en",),
    metric="accuracy",
    chance=1 / 3,
    num_train_rows=1,
    labels=("entailment", "neutral", "contradiction"),
)


def test_an_unknown_label_is_answered_with_the_nearest() -> None:
    refusals.refuse_unknown_label("neutral", NLI, "7", field="label")
    with pytest.raises(RowError) as refused:
        refusals.refuse_unknown_label("Entailmnt", NLI, "7", field="label")
    message = str(refused.value)
    assert message.startswith("task 'nli', row '7': unknown label 'Entailmnt'.")
    assert "Did you mean 'entailment'?" in message
    assert "Correct the task's labels" in message
    assert "\n" not in message


def test_another_type_is_refused_even_without_an_id() -> None:
    refusals.refuse_other_type(TextExample(id="1", text="a", pair=None), NLI, TextExample)
    with pytest.raises(
        RowError, match=r"row '\?': got a dict, expected a PairExample for the kind class"
    ):
        refusals.refuse_other_type({"label": 1}, NLI, PairExample)


@pytest.mark.parametrize("blank", ["", " \n\t", "\u3000"])
def test_blank_text_is_refused(blank: str) -> None:
    refusals.refuse_empty("。", NLI, "1", field="text")
    with pytest.raises(RowError, match="row '1': text is empty"):
        refusals.refuse_empty(blank, NLI, "1", field="text")
