import random
import zlib
from itertools import combinations

import pytest

from trainables.pocket import drafts as module
from trainables.pocket.drafts import SPLITS, TASK_NAMES, Draft, drafts, num_rows
from trainables.pocket.inventory import CYCLES, FACTS, Item

GOLDEN_CHECKSUM = 3277311608
GOLDEN = Draft(tuple((Item("weekday", code),) for code in ("5", "0", "1", "3", "6")), 3)


def facts_of(territory: Item) -> tuple[Item, ...]:
    return next(fact.items()[1:] for fact in FACTS if fact.items()[0] == territory)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_splits_share_no_meaning(task: str) -> None:
    meanings = {split: {draft.meaning() for draft in drafts(task, split)} for split in SPLITS}
    assert {split: len(result) for split, result in meanings.items()} == {
        split: num_rows(task, split) for split in SPLITS
    }
    for left, right in combinations(SPLITS, 2):
        assert not meanings[left] & meanings[right]


def test_meaning_sets_order_aside() -> None:
    first, second, third = (Item("weekday", str(day)) for day in range(3))
    draft = Draft(((first,), (second,), (third,)), 0)
    assert draft.meaning() == Draft(((first,), (third,), (second,)), 1).meaning()
    assert draft.meaning() != Draft(((third,), (first,), (second,)), 0).meaning()


def test_drafts_are_the_same_in_every_process() -> None:
    """A golden value: change it knowingly, all scores change with it."""
    assert drafts("seq", "train")[0] == GOLDEN
    meanings = [draft.meaning() for task in TASK_NAMES for draft in drafts(task, "train")]
    assert zlib.crc32("".join(meanings).encode()) == GOLDEN_CHECKSUM


@pytest.mark.parametrize("task", ["rel", "coh"])
@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_balanced(task: str, split: str) -> None:
    labels = [draft.answer for draft in drafts(task, split)]
    share = 1 / len(set(labels))
    for label in set(labels):
        assert abs(labels.count(label) / len(labels) - share) < 0.11


@pytest.mark.parametrize("task", ["kind", "fact", "seq"])
def test_right_choices_are_balanced(task: str) -> None:
    answers = [draft.answer for draft in drafts(task, "train")]
    assert all(0.2 < answers.count(index) / len(answers) < 0.3 for index in range(4))


def test_facts_have_one_right_choice() -> None:
    for draft in drafts("fact", "train"):
        (territory,), *choices = draft.phrases
        right = [index for index, (item,) in enumerate(choices) if item in facts_of(territory)]
        assert right == [draft.answer]


def test_sequences_have_one_right_choice() -> None:
    following = {
        item: cycle[(index + 1) % len(cycle)]
        for cycle in CYCLES
        for index, item in enumerate(cycle)
    }
    for draft in drafts("seq", "train"):
        text, *choices = draft.phrases
        assert [index for index, (item,) in enumerate(choices) if item == following[text[-1]]] == [
            draft.answer
        ]


def test_one_choice_is_of_the_kind_of_the_text() -> None:
    for draft in drafts("kind", "validation"):
        (text,), *choices = draft.phrases
        assert [index for index, (item,) in enumerate(choices) if item.kind == text.kind] == [
            draft.answer
        ]
        assert text != choices[int(draft.answer)][0]


def test_coherence_is_the_facts() -> None:
    for draft in drafts("coh", "train"):
        territory = next(item for item in draft.phrases[0] if item.kind == "territory")
        is_true = set(draft.phrases[1]) == set(facts_of(territory))
        assert draft.answer == module.COH_LABELS[is_true]


def test_relations() -> None:
    for draft in drafts("rel", "train"):
        premise, (hypothesis,) = draft.phrases
        (base, *_) = [item for item in premise if item.kind in ("weekday", "month", "territory")]
        if base.kind == "territory":
            expected = hypothesis.kind in ("language", "currency")
            follows = hypothesis in facts_of(base)
        else:
            cycle = next(cycle for cycle in CYCLES if base in cycle)
            run = [item for item in premise if item in cycle]
            expected = hypothesis in cycle
            follows = expected and hypothesis == cycle[(cycle.index(run[-1]) + 1) % len(cycle)]
        assert draft.answer == module.REL_LABELS[0 if follows else 1 if expected else 2]


def test_questions_have_one_answer() -> None:
    for draft in drafts("qakind", "validation"):
        (question,), context = draft.phrases
        kinds = [index for index, item in enumerate(context) if item.kind == question.kind]
        assert kinds == [draft.answer]


def test_retrieval_shuffles_the_same_items() -> None:
    pairs = [draft.phrases for draft in drafts("retrieval", "test")]
    assert all(sorted(text) == sorted(pivot) for text, pivot in pairs)
    assert sum(text != pivot for text, pivot in pairs) > 150


def test_makers_depend_on_their_generator_alone() -> None:
    for make in module._MAKERS.values():
        assert make(random.Random("a")) == make(random.Random("a"))
