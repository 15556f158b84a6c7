"""A submission read back as XTREME's evaluate.py reads it gives the scores that were reported."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.examples import (
    Answer,
    PairExample,
    RetrievalExample,
    SentenceExample,
    SpanExample,
    TaggingExample,
)
from trainables.exporting.submission import (
    FOLDERS,
    Predicted,
    content_of,
    file_name,
    write_submission,
)
from trainables.formats.kinds import format_of_task
from trainables.formats.mining import MiningFormat
from trainables.rows.rows import Rows
from trainables.scoring.scores import XTREME_GROUPS


def predicted(task: str, examples: list[Any], predictions: list[Any], **fields: Any) -> Predicted:
    fields = {"dropped": (), "format": format_of_task(SHIPPED.get(task)), **fields}
    return Predicted(examples=examples, predictions=predictions, **fields)


def reported(task: str, given: Predicted) -> dict[str, float]:
    return dict(given.format.score(given.predictions, given.examples, SHIPPED.get(task), "de"))


def content(task: str, given: Predicted) -> str:
    return content_of(SHIPPED.get(task), given)


def read_tags(text: str) -> list[list[str]]:
    """Sentences end at an empty line, the last one at the file's end."""
    return [block.split() for block in text.strip().split("\n\n")]


def test_every_task_of_xtreme_has_a_folder() -> None:
    assert set(FOLDERS) == {task for tasks in XTREME_GROUPS.values() for task in tasks}
    assert file_name(SHIPPED.get("bucc"), "zh") == "bucc2018/test-zh.tsv"
    assert file_name(SHIPPED.get("tydiqa"), "sw") == "tydiqa/test-sw.json"
    assert file_name(SHIPPED.get("udpos"), "yo") == "udpos/test-yo.tsv"


def test_labels() -> None:
    rng = random.Random(0)
    for task, names in (
        ("xnli", {"entailment": "entailment", "neutral": "neutral"}),
        ("pawsx", {"different": "0", "paraphrase": "1"}),
    ):
        golds = rng.choices(list(names), k=50)
        examples = [
            PairExample(id=str(i), text_a="a", text_b="b", label=g) for i, g in enumerate(golds)
        ]
        given = predicted(task, examples, rng.choices(list(names), k=50))
        lines = content(task, given).splitlines()
        labels = [names[gold] for gold in golds]
        assert accuracy_score(labels, lines) == reported(task, given)["accuracy"]


def test_rows_that_were_left_out_have_a_line() -> None:
    examples = [PairExample(id=str(i), text_a="a", text_b="b", label="paraphrase") for i in (1, 2)]
    labels = ["paraphrase", "paraphrase"]
    for dropped, lines in {
        (): "11",
        (0,): "011",
        (1, 1): "1001",
        (0, 1, 2, 2): "010100",
    }.items():
        given = predicted("pawsx", examples, labels, dropped=dropped)
        assert content("pawsx", given).splitlines() == list(lines)


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
def test_tags() -> None:
    rng = random.Random(1)
    for task in ("panx", "udpos"):
        tags = SHIPPED.get(task).labels
        golds = [tuple(rng.choices(tags, k=rng.randint(1, 9))) for _ in range(40)]
        examples = [
            TaggingExample(id=str(i), words=("w",) * len(g), tags=g) for i, g in enumerate(golds)
        ]
        kept = [tuple(t if rng.random() < 0.7 else rng.choice(tags) for t in g) for g in golds]
        given = predicted(task, examples, kept)
        read = read_tags(content(task, given))
        assert [len(sentence) for sentence in read] == [len(gold) for gold in golds]
        score = f1_score([list(gold) for gold in golds], read)
        assert 0.1 < score < 0.9
        found = reported(task, given)
        assert score == pytest.approx(found.get("f1_seqeval", found["f1"]))


def test_answers() -> None:
    context = '北京 is a city in China, a "large" one'
    golds = {"5a-1": "北京", "english--32-2": "China", "x": "city in China"}
    examples = [
        SpanExample(
            id=name,
            question="?",
            context=context,
            answers=(Answer(text=gold, start=context.index(gold)),),
        )
        for name, gold in golds.items()
    ]
    given = predicted("xquad", examples, ["北京", 'a "large" one', "city"])
    answers = json.loads(content("xquad", given))
    assert answers == {"5a-1": "北京", "english--32-2": 'a "large" one', "x": "city"}
    assert reported("xquad", given)["exact_match"] == sum(
        golds[name] == answer for name, answer in answers.items()
    ) / len(golds)


def test_retrieval_is_in_the_order_of_the_english_sentences() -> None:
    """Line n: the place of the sentence retrieved for the n-th English one in their sorted order;
    right where it is the row's own. Equal sentences keep their order."""
    english = ["b", "a", "Z", "a", "c"]
    examples = [RetrievalExample(id=str(i), text=f"t{i}", pivot=e) for i, e in enumerate(english)]
    labels = [2, 1, 3, 0, 4]
    rows = [0, 1, 2, 4, 3]
    layers = [tuple(5 if layer != 1 else row for layer in range(3)) for row in rows]
    given = predicted("tatoeba", examples, layers)
    lines = [int(line) for line in content("tatoeba", given).splitlines()]
    assert lines == [2, 1, 4, 0, 3]
    assert accuracy_score(labels, lines) == reported("tatoeba", given)["accuracy"] == 3 / 5


def test_the_order_of_the_hubs_rows_is_that_of_the_label_files(mirror: Path) -> None:
    """The first labels of XTREME's mock_test_data/labels/tatoeba."""
    published = {
        "af": [308, 441, 713, 233, 757, 35, 93, 939, 872, 52],
        "de": [367, 258, 374, 529, 528, 283, 348, 344, 282, 212],
    }
    rows = Rows(str(mirror), halves=False)
    for language, labels in published.items():
        examples = list(rows.examples(SHIPPED.get("tatoeba"), language, "test"))
        right = [(row,) * 3 for row in range(len(examples))]
        lines = content("tatoeba", predicted("tatoeba", examples, right)).splitlines()
        assert lines[:10] == [str(label) for label in labels]


def test_pairs_from_the_threshold_on() -> None:
    def sentence(name: str, partner: str) -> SentenceExample:
        return SentenceExample(id=name, text=name, is_pivot=name[0] == "e", partners=(partner,))

    names = [("de-1", "en-1"), ("de-2", "en-2"), ("de-3", "en-3")]
    examples = [sentence(a, b) for a, b in names] + [sentence(b, a) for a, b in names]
    predictions = [("en-1", 1.2), ("en-3", 1.1), ("en-2", 0.9), None, None, None]
    task_format = MiningFormat(threshold=1.0)
    given = predicted("bucc", examples, predictions, format=task_format)
    mined = {tuple(line.split("\t")) for line in content("bucc", given).splitlines()}
    assert mined == {("de-1", "en-1"), ("de-2", "en-3")}
    right = len(mined & set(names))
    assert reported("bucc", given)["f1"] == 2 * right / (len(mined) + len(names))


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "out"
    write_submission(folder, {"xnli/test-de.tsv": "neutral\n", "mlqa/test-zh.json": "{}\n"})
    assert (folder / "xnli" / "test-de.tsv").read_text() == "neutral\n"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    with pytest.raises(Refusal, match="cannot be written"):
        write_submission(folder, {"xnli/test-de.tsv": "other\n"})
    assert (folder / "xnli" / "test-de.tsv").read_text() == "neutral\n"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    with pytest.raises(Refusal, match="cannot be written"):
        write_submission(folder / "xnli" / "test-de.tsv" / "out", {"a": ""})
