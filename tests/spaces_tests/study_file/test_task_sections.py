"""Tasks and rows of one's own, as tables of a study file."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.mixture import Mixture
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.task_sections import COLUMNS, TAKEN, catalogue_of
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.origin import Layout
from spaces.tasks.source import Source
from spaces.tasks.task import AnswerRules, TaskKind
from tests.study_texts import study_text
from trainables.rows.own_readers import KIND_READERS

STUDY = f"\n{study_text('coh')}"
TICKETS = """
[tasks.tickets]
kind = "classification"
languages = ["de", "en", "sw"]
labels = ["bug", "wish", "praise"]
rows = "rows/tickets"
"""


def parsed(*tables: str, targets: str = "") -> StudySettings:
    text = "\n".join((STUDY.replace('targets = ["coh"]', targets or 'targets = ["coh"]'), *tables))
    return StudySettings.parse(tomllib.loads(text))


def test_a_study_without_own_tasks_has_the_shipped_ones() -> None:
    assert parsed().catalogue is SHIPPED
    assert parsed().digest() == "c3a27726159d19f2", "as before studies had tasks of their own"


def test_a_folder_is_a_task() -> None:
    task = parsed(TICKETS).catalogue.get("tickets")
    origin = task.origin_of("sw")
    assert (task.source_language, task.zero_shot_languages) == ("en", ("de", "sw"))
    assert (task.chance, task.metric) == (pytest.approx(1 / 3), "accuracy")
    assert (origin.dataset, origin.layout, origin.reader) == ("rows/tickets", Layout.ROWS, "")
    assert origin.config_of("sw") == "sw"
    assert task.hub_split("sw", "validation") == "validation"
    first = parsed(TICKETS.replace('"en", ', "")).catalogue.get("tickets")
    assert first.source_language == "de"


def test_a_data_set_of_the_hub_is_a_task() -> None:
    settings = parsed(
        """
        [tasks.topics]
        kind = "classification"
        languages = ["en", "de"]
        labels = ["science", "travel"]
        dataset = "Davlan/sib200"
        revision = "0123abc"
        config = "{flores}"
        splits = { train = "train+more", test = false }
        columns = { sentence1 = "text", label = 2 }
        label_names = { "science/technology" = "science" }
        where = { is_gold = true, source = ["a", "b"], number = 3 }
        """.replace("        ", "")
    )
    origin = settings.catalogue.get("topics").origin_of("de")
    assert (origin.dataset, origin.layout, origin.revision) == (
        "Davlan/sib200",
        Layout.HUB,
        "0123abc",
    )
    assert origin.config_of("de") == "deu_Latn"
    assert origin.names_of("train") == ("train", "more")
    assert origin.names_of("validation") == ("validation",)
    assert origin.names_of("test") == ()
    assert origin.columns == (("sentence1", "text"), ("label", "2"))
    assert origin.label_names == (("science/technology", "science"),)
    assert origin.where == (("is_gold", (True,)), ("source", ("a", "b")), ("number", (3,)))


def test_configs_by_language() -> None:
    text = TICKETS.replace(
        'rows = "rows/tickets"', 'dataset = "o/n"\nconfig = {de = "x", en = "y"}'
    )
    with pytest.raises(Refusal, match=r"tasks\.tickets: config has no entry for 'sw'; add one"):
        parsed(text)
    task = parsed(text.replace(', "sw"', "")).catalogue.get("tickets")
    assert [task.config_of(code) for code in ("de", "en")] == ["x", "y"]


def test_rows_are_added_to_a_task_that_is_there() -> None:
    qqp = '[rows.qqp]\nlanguages = ["de", "sw"]\nrows = "rows/qqp"\n'
    catalogue = parsed(qqp).catalogue
    task = catalogue.get("qqp")
    assert catalogue.source("qqp@sw") == Source(task, "sw")
    mixed = [catalogue.source(text) for text in ("qqp@sw", "mnli@de")]
    mixture = Mixture.proportional(mixed, temperature=1, cap=None)
    assert [str(source) for source in mixture.sources] == ["mnli@de", "qqp@sw"]
    assert task.origin_of("de").reader == "qqp"
    assert task.origin_of("en").dataset == "nyu-mll/glue"
    with pytest.raises(Refusal, match="unknown language of task 'qqp' 'fr'"):
        catalogue.source("qqp@fr")
    more = '[[rows.mnli]]\nlanguages = ["{}"]\nrows = "{}"\n'
    both = parsed(more.format("fi", "a"), more.format("sv", "b")).catalogue
    assert [both.get("mnli").origin_of(code).dataset for code in ("fi", "sv")] == ["a", "b"]
    assert both.get("xnli").training_task is both.get("mnli"), "which its target trains on"
    assert "sv" in {part.name: part for part in both.get("anliplus").parts}["mnli"].languages


def test_files_of_xtreme_and_corpora() -> None:
    text = '[rows.udpos]\nlanguages = ["el"]\nrows = "d/udpos"\nlayout = "xtreme"\n'
    task = parsed(text).catalogue.get("udpos")
    assert task.origin_of("el").layout is Layout.XTREME
    assert (task.hub_split("el", "validation"), task.hub_split("el", "test")) == ("dev", None)
    for layout in ("ccgbank", "bucc"):
        text = TICKETS + f'layout = "{layout}"\n'
        assert parsed(text).catalogue.get("tickets").origin_of("de").layout == layout


def test_tasks_refer_to_each_other_in_any_order() -> None:
    text = """
        [tasks.scored]
        kind = "classification"
        languages = ["en", "sw"]
        labels = ["bug", "wish", "praise"]
        rows = "rows/scored"
        train_on = "both"
        splits = { train = false }
        [tasks.both]
        kind = "classification"
        languages = ["en"]
        labels = ["bug", "wish", "praise"]
        parts = ["tickets", "other"]
        num_train_rows = 9
        [tasks.other]
        kind = "classification"
        languages = ["en"]
        labels = ["bug", "wish", "praise"]
        rows = "rows/other"
        """.replace("        ", "")
    settings = parsed(text, TICKETS, targets='targets = ["scored"]')
    task = settings.catalogue.get("scored")
    assert task.training_task.name == "both"
    assert [part.name for part in task.training_task.parts] == ["tickets", "other"]
    (target,) = (
        settings.search_space()
        .decode({"intermediate": "none", "target.learning_rate": 1e-4})
        .targets
    )
    assert [other.name for other in target.trained_tasks] == ["both"]


def test_mixtures_of_unknown_sizes_are_refused_and_single_sources_are_not() -> None:
    space = STUDY.replace('["none", "fact"]', '["none", "tickets"]')
    StudySettings.parse(tomllib.loads(space + TICKETS))
    space = STUDY.replace('["none", "fact"]', '["none", "tickets+fact"]')
    with pytest.raises(Refusal, match=r"write num_train_rows into \[tasks.tickets\]"):
        StudySettings.parse(tomllib.loads(space + TICKETS))
    StudySettings.parse(tomllib.loads(space + TICKETS + "num_train_rows = 9"))


def test_the_digest_is_of_definitions_and_not_of_places(tmp_path: Path) -> None:
    base = parsed(TICKETS).digest()
    assert parsed(TICKETS.replace("rows/tickets", "elsewhere")).digest() == base
    assert parsed(TICKETS).placed_in(tmp_path).digest() == base
    assert parsed(TICKETS).placed_in(tmp_path).study.rows_folder == str(tmp_path)
    changes = [
        TICKETS.replace('"bug", "wish"', '"wish", "bug"'),
        TICKETS + "columns = { sentence1 = 'text' }\n",
        TICKETS.replace("tickets]", "cards]"),
        TICKETS + "where = { a = 1 }\n",
    ]
    assert len({base, parsed().digest(), *(parsed(text).digest() for text in changes)}) == 6


def test_the_record_says_all_of_it() -> None:
    rows = '[rows.qqp]\nlanguages = ["de", "sw"]\nrows = "rows/qqp"\n'
    settings = parsed(TICKETS + "where = { a = [1, 2.5, true, 'x'] }\n", rows)
    again = StudySettings.parse(settings.model_dump(mode="json"), is_recorded=True)
    assert again == settings
    assert again.catalogue == settings.catalogue
    assert StudySettings.parse(settings.model_dump(mode="json")).catalogue == settings.catalogue


REFUSED = [
    ({"kind": "clasification"}, "tasks.tickets.kind is 'clasification'; expected "),
    ({"kind": None}, "tasks.tickets.kind is missing"),
    ({"languages": []}, "tasks.tickets.languages is []; expected at least one entry"),
    ({"languages": ["xx-nosuch"]}, "tasks.tickets: unknown language 'xx-nosuch'"),
    ({"labels": []}, "tasks.tickets: task 'tickets': labels () do not fit"),
    ({"labels": ["a", "a"]}, "labels ('a', 'a') do not fit"),
    ({"label": ["a"]}, "unknown key in [tasks.tickets] 'label'. Did you mean 'labels'?"),
    ({"metric": "f1"}, "tasks.tickets: unknown metric of 'tickets' 'f1'. Known: accuracy"),
    ({"rows": None}, "tasks.tickets: expected rows (a folder) or dataset (a name on the hub), and"),
    ({"dataset": "o/n"}, "and there is both"),
    ({"rows": "pocket"}, "'pocket' is the embedded benchmark"),
    ({"rows": " "}, "tasks.tickets.rows is ' ', a blank text"),
    ({"revision": "abc"}, "revision is for a data set of the hub, and there is no dataset"),
    ({"layout": "hub"}, "tasks.tickets.layout is 'hub'; expected "),
    (
        {"rows": None, "dataset": "o/n", "layout": "bucc"},
        "layout is 'bucc', which is for a folder; name it with rows",
    ),
    ({"config": "{lang}"}, "unknown field of a language in config 'lang'. Known: code, flores"),
    ({"config": "{code"}, "config is '{code', which is not a pattern"),
    ({"config": 3}, "tasks.tickets.config is 3; expected text in quotes, or a table by language"),
    ({"config": {"fr": "x", "de": "a", "en": "b", "sw": "c"}}, "unknown language in config 'fr'"),
    ({"columns": {"sentence": "t"}}, "unknown column of the kind classification in columns 'sent"),
    ({"columns": {"label": True}}, "tasks.tickets.columns.label is True; expected text in quotes"),
    ({"label_names": {"x": "bugs"}}, "unknown label in label_names 'bugs'. Did you mean 'bug'?"),
    ({"where": {"a": {"b": 1}}}, "tasks.tickets.where.a is a table; expected text, a number, true"),
    ({"splits": {"dev": "x"}}, "unknown key in [tasks.tickets.splits] 'dev'"),
    ({"splits": {"train": "a++b"}}, "splits.train has an empty name between +"),
    ({"splits": {"train": True}}, "tasks.tickets.splits.train is True; expected text in quotes"),
    (
        {"train_on": "mnlii"},
        "unknown task that tasks.tickets refers to 'mnlii'. Did you mean",
    ),
    ({"train_on": "mnli"}, "cannot use rows of 'mnli': it needs a task of the same kind, with"),
    ({"train_on": "tickets"}, "tasks.tickets refers to itself"),
    ({"train_on": "xnli"}, "'xnli', which has no training rows of its own"),
    ({"parts": ["mnli"]}, "its rows are those of its parts; leave rows and dataset out"),
    ({"single_split": ["fr"]}, "unknown language of 'tickets' 'fr'"),
    ({"train_rows": {"fr": 1}}, "unknown language in train_rows 'fr'"),
    ({"source_language": "fr"}, "unknown source language of 'tickets' 'fr'"),
    (
        {"kind": "choice", "labels": []},
        "chance is missing; for the kind choice it is 1 / the",
    ),
    ({"chance": 1.0}, "tasks.tickets.chance is 1.0; expected a number below 1"),
    ({"num_train_rows": -1}, "tasks.tickets.num_train_rows is -1; expected 0 or more"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_describes_no_task_is_refused_in_one_line(
    change: dict[str, Any], message: str
) -> None:
    tables = tomllib.loads(STUDY + TICKETS)
    table = {**tables["tasks"]["tickets"], **change}
    tables["tasks"]["tickets"] = {key: value for key, value in table.items() if value is not None}
    with pytest.raises(Refusal) as caught:
        StudySettings.parse(tables)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (TICKETS.replace("tickets]", "mnli]"), "tasks.mnli: a shipped task has this name; give"),
        (TICKETS.replace("tickets]", "all]"), "tasks.all: this name has a meaning in [space]"),
        (TICKETS.replace("tickets]", "Tickets]"), "task name 'Tickets': expected lower-case"),
        ("tasks = 3", "tasks is 3; expected a table"),
        ("[tasks]\ntickets = 3", "tasks.tickets is 3; expected a table"),
        (
            '[rows.qpq]\nlanguages = ["de"]\nrows = "r"',
            "unknown task in [rows.TASK] 'qpq'. Did",
        ),
        ('[rows.qqp]\nrows = "r"', "rows.qqp.languages is missing"),
        ('[rows.qqp]\nlanguages = ["de"]', "rows.qqp: expected rows (a folder) or dataset"),
        ('[rows.qqp]\nlanguages = ["de"]\nrow = "r"', "unknown key in [rows.qqp] 'row'. Did you"),
        ('[[rows.qqp]]\nlanguages = ["de"]\nrow = "r"', "unknown key in [rows.qqp.0] 'row'."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_tables_that_are_refused(tables: str, message: str) -> None:
    text = tables + STUDY if tables.startswith("tasks =") else STUDY + tables
    with pytest.raises(Refusal) as caught:
        StudySettings.parse(tomllib.loads(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
LABELS = st.lists(
    st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1, unique=True
)


@given(
    name=NAMES,
    kind=st.sampled_from(list(TaskKind)),
    labels=LABELS,
    languages=st.lists(
        st.sampled_from(["de", "en", "sw", "fi", "zh-Hant"]), min_size=1, unique=True
    ),
    answer_rules=st.sampled_from([AnswerRules.SQUAD_V1, AnswerRules.SQUAD_V2]),
    columns=st.dictionaries(
        st.sampled_from(["id"]), st.text(min_size=1, max_size=9) | st.integers(1, 9)
    ),
)
def test_any_table_is_a_task_that_survives_its_record(
    name: str, kind: TaskKind, labels: list[str], languages: list[str], **keys: Any
) -> None:
    has_labels = kind in (TaskKind.CLASSIFICATION, TaskKind.TAGGING)
    table = {
        "kind": kind.value,
        "languages": languages,
        "labels": labels if has_labels else [],
        "rows": "rows",
        **({"chance": 0.5} if kind is TaskKind.CHOICE else {}),
        **keys,
    }
    tables = {**tomllib.loads(STUDY), "tasks": {name: table}}
    if name in SHIPPED or name in TAKEN:
        with pytest.raises(Refusal):
            StudySettings.parse(tables, is_recorded=True)
        return
    settings = StudySettings.parse(tables, is_recorded=True)
    task = settings.catalogue.get(name)
    assert (task.kind, task.languages, task.trains) == (kind, tuple(languages), kind != "retrieval")
    assert task.labels == (tuple(labels) if has_labels else ())
    again = StudySettings.parse(settings.model_dump(mode="json"), is_recorded=True)
    assert again.catalogue == settings.catalogue
    assert again.digest() == settings.digest()


def test_the_columns_are_those_that_the_readers_read() -> None:
    assert COLUMNS.keys() == KIND_READERS.keys()
    for kind, reader in KIND_READERS.items():
        named = set(re.findall("`([a-z_0-9]+)`", reader.__doc__ or ""))
        assert named - {"form", "upos"} <= {*COLUMNS[kind]}, kind


def test_no_tables_are_the_shipped_catalogue() -> None:
    assert catalogue_of({}, {}) is SHIPPED


@pytest.mark.parametrize("page", ["how-to/own-task.md"])
def test_the_tables_of_the_docs_are_read(page: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / page).read_text()
    blocks = [tomllib.loads(b) for b in re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)]
    topics = next(
        block["tasks"]["topics"] for block in blocks if "topics" in block.get("tasks", {})
    )
    for block in blocks:
        block.pop("include", None)
        for task in block.get("tasks", {}).values():
            if "kind" not in task:
                task.update(topics)
        StudySettings.parse({**tomllib.loads(STUDY), **block})
    assert len(blocks) == 7
