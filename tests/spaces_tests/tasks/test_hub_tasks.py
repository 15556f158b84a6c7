import ast
import inspect
import re

import pytest

from spaces.languages import LANGUAGES
from spaces.tasks import hub_tasks, target_tasks
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.hub_tasks import INTERMEDIATE_TASKS, REVISIONS, SUPERTAGS, TEXT_TASKS, XNLI
from spaces.tasks.origin import Layout
from spaces.tasks.target_tasks import OTHER_TARGETS, XTREME_TASKS
from spaces.tasks.task import SPLITS, TaskKind

HUB_TASKS = (*INTERMEDIATE_TASKS, *XTREME_TASKS, *OTHER_TARGETS, *TEXT_TASKS)
NINE = ("anliplus", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa")


@pytest.mark.parametrize(
    ("name", "language", "config"),
    [
        ("udpos", "zh", "udpos.Chinese"),
        ("udpos", "fa", "udpos.Persian"),
        ("tatoeba", "zh", "tatoeba.cmn"),
        ("tatoeba", "fa", "tatoeba.pes"),
        ("tatoeba", "sw", "tatoeba.swh"),
        ("panx", "jv", "PAN-X.jv"),
        ("pawsx", "ko", "PAWS-X.ko"),
        ("xquad", "el", "XQuAD.el"),
        ("tydiqa", "bn", "tydiqa"),
        ("mnli", "en", None),
        ("mnli", "de", "de"),
        ("xnli", "en", "en"),
        ("qqp", "en", "qqp"),
        ("mlqa", "vi", "MLQA.vi.vi"),
        ("bucc", "fr", "fr-en"),
        ("flores", "ar", "arb_Arab"),
        ("flores", "ms", "zsm_Latn"),
    ],
)
def test_configs_are_named_as_on_the_hub(name: str, language: str, config: str | None) -> None:
    assert SHIPPED.get(name).config_of(language) == config


@pytest.mark.parametrize("task", HUB_TASKS, ids=lambda task: task.name)
def test_every_entry_says_where_its_rows_are(task) -> None:
    for language in () if task.parts else task.languages:
        origin = task.origin_of(language)
        is_pinned = re.fullmatch("[0-9a-f]{40}|main", origin.revision or "")
        assert bool(is_pinned) == (origin.layout is Layout.HUB)
        assert origin.revision == REVISIONS.get(origin.dataset)
    sources = {(task.origin_of(code).dataset, task.config_of(code)) for code in task.languages}
    assert len(sources) == (len(task.languages) if "{" in str(task.config) or task.elsewhere else 1)
    trained = task.training_task
    has_train_rows = trained.hub_split(trained.source_language, "train") is not None
    assert has_train_rows == (task.kind is not TaskKind.RETRIEVAL)
    if task.kind is not TaskKind.MLM:
        here = [code for code in task.languages if task.origin_of(code).dataset == task.dataset]
        for language in here:
            assert all(task.hub_split(language, split) for split in SPLITS[1:])
            same = len({task.hub_split(language, split) for split in SPLITS[1:]}) == 1
            assert same == task.is_cut(language, "test")


def test_the_papers_nine_intermediate_tasks_are_there() -> None:
    assert {SHIPPED.get(name).source_language for name in NINE} == {"en"}
    assert [part.name for part in SHIPPED.get("anliplus").parts] == ["anli", "mnli", "snli"]
    parts = SHIPPED.get("anliplus").parts
    assert {part.labels for part in parts} == {SHIPPED.get("anliplus").labels}
    assert SHIPPED.get("anliplus").num_train_rows == sum(part.num_train_rows for part in parts)
    assert SHIPPED.get("anli").hub_split("en", "train") == "train_r1+train_r2+train_r3"
    assert len(SUPERTAGS) == 426
    assert SHIPPED.get("ccg").metric == "accuracy"


def test_mnlis_translations_leave_xnlis_test_rows_alone() -> None:
    mnli = SHIPPED.get("mnli")
    assert mnli.languages == XNLI
    assert mnli.origin_of("sw").dataset == "facebook/xnli"
    assert mnli.hub_split("sw", "train") == "train"
    assert mnli.hub_split("sw", "test") is None
    assert mnli.hub_split("en", "test") == "validation_mismatched"


def test_languages_without_dev_rows_are_cut() -> None:
    assert SHIPPED.get("udpos").single_split == ("kk", "th", "tl", "yo")
    assert set(SHIPPED.get("flores").languages) == set(LANGUAGES)


def test_an_entry_is_ten_lines_at_most() -> None:
    entries = [
        node
        for module in (hub_tasks, target_tasks)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hub_task"
    ]
    assert len(entries) == len(HUB_TASKS)
    for entry in entries:  # the line with the closing bracket is none of the entry's
        assert (entry.end_lineno or 0) - entry.lineno - 1 <= 10


def test_whose_rows_a_task_has_too() -> None:
    """`includes` and `parts` name tasks that there are, of the same kind and labels."""
    assert SHIPPED.get("anliplus").contents == {"anliplus", "anli", "mnli", "snli"}
    assert SHIPPED.get("squad2").contents == {"squad2", "squad"}
    assert SHIPPED.get("csqa").contents == {"csqa"}
    for task in HUB_TASKS:
        for name in task.contents:
            assert (SHIPPED.get(name).kind, SHIPPED.get(name).labels) == (task.kind, task.labels)
