import ast
import inspect
import re

import pytest

from spaces import hub_tasks
from spaces.hub_tasks import INTERMEDIATE_TASKS, REVISIONS, TEXT_TASKS, XTREME_TASKS
from spaces.languages import LANGUAGES
from spaces.tasks import SPLITS, TASKS, TaskKind

HUB_TASKS = (*INTERMEDIATE_TASKS, *XTREME_TASKS, *TEXT_TASKS)

XTREME = {
    "pawsx": "de en es fr ja ko zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl "
    "tr ur vi yo zh",
    "panx": "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl "
    "pt ru sw ta te th tl tr ur vi yo zh",
    "xquad": "ar de el en es hi ru th tr vi zh",
    "tydiqa": "ar bn en fi id ko ru sw te",
    "tatoeba": "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru "
    "sw ta te th tl tr ur vi zh",
}


def test_xtremes_targets_have_exactly_its_languages() -> None:
    assert {task.name: " ".join(task.languages) for task in XTREME_TASKS} == XTREME


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
        ("flores", "ar", "arb_Arab"),
        ("flores", "ms", "zsm_Latn"),
    ],
)
def test_configs_are_named_as_on_the_hub(name: str, language: str, config: str | None) -> None:
    assert TASKS[name].config_of(language) == config


@pytest.mark.parametrize("task", HUB_TASKS, ids=lambda task: task.name)
def test_every_entry_says_where_its_rows_are(task) -> None:
    assert task.revision == REVISIONS[task.dataset]
    assert re.fullmatch("[0-9a-f]{40}|main", task.revision)
    configs = {task.config_of(code) for code in task.languages}
    assert len(configs) == (len(task.languages) if "{" in (task.config or "") else 1)
    trained = TASKS[task.training_task]
    has_train_rows = trained.hub_split(trained.source_language, "train") is not None
    assert has_train_rows == (task.kind is not TaskKind.RETRIEVAL)
    if task.kind is not TaskKind.MLM:
        for language in task.languages:
            assert all(task.hub_split(language, split) for split in SPLITS[1:])
            same = len({task.hub_split(language, split) for split in SPLITS[1:]}) == 1
            assert same == task.is_cut(language, "test")


def test_languages_without_dev_rows_are_cut() -> None:
    assert TASKS["udpos"].single_split == ("kk", "th", "tl", "yo")
    assert set(TASKS["flores"].languages) == set(LANGUAGES)


def test_an_entry_is_ten_lines_at_most() -> None:
    tree = ast.parse(inspect.getsource(hub_tasks))
    tables = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
    entries = [
        call
        for table in tables
        if isinstance(table.value, ast.Tuple)
        for call in table.value.elts
        if isinstance(call, ast.Call)
    ]
    assert len(entries) == len(HUB_TASKS)
    for entry in entries:  # the line with the closing bracket is none of the entry's
        assert (entry.end_lineno or 0) - entry.lineno - 1 <= 10
