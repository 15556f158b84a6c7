from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from tests.by_name import cell_of
from trainables.examples import RetrievalExample, SpanExample
from trainables.rows.bundle import Part
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import Rows, _fingerprint, _load
from trainables.scoring.groups import shared_texts

XTREME = "google/xtreme"
CUT = [
    (task.name, language)
    for task in SHIPPED
    for language in task.languages
    if task.is_cut(language, "test")
]


@pytest.fixture(scope="module")
def rows(mirror: Path) -> Rows:
    return Rows(str(mirror))


def test_a_fingerprint_is_of_content() -> None:
    cells = [(t, c, s) for t in ("coh", "rel") for c in ("en", "de") for s in ("train", "test")]
    result = {cell: Rows().fingerprint(*cell_of(*cell)) for cell in cells}
    assert len(set(result.values())) == len(cells)
    _fingerprint.cache_clear()
    _load.cache_clear()
    assert (
        Rows("elsewhere").fingerprint(SHIPPED.get("coh"), "de", "test")
        == result["coh", "de", "test"]
    )


def test_a_fingerprint_is_of_what_a_model_reads(monkeypatch) -> None:
    """The document that rows were made from is not: what is trained on them stays what it is."""
    before, rows = (
        Rows().fingerprint(SHIPPED.get("kind"), "de", "train"),
        Rows().load(SHIPPED.get("kind"), "de", "train"),
    )
    named = tuple(replace(row, document="one") for row in rows.examples)
    _fingerprint.cache_clear()
    monkeypatch.setattr("trainables.rows.rows._load", lambda *cell: replace(rows, examples=named))
    assert Rows().fingerprint(SHIPPED.get("kind"), "de", "train") == before
    _fingerprint.cache_clear()
    less = tuple(replace(row, text="one") for row in rows.examples)
    monkeypatch.setattr("trainables.rows.rows._load", lambda *cell: replace(rows, examples=less))
    assert Rows().fingerprint(SHIPPED.get("kind"), "de", "train") != before
    _fingerprint.cache_clear()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("coh", "xx", "train"), "unknown language of task 'coh' 'xx'"),
        (("coh", "en", "dev"), "unknown split 'dev'"),
        (("xquad", "en", "train"), "task 'xquad' has no train rows with labels"),
    ],
)
def test_rows_that_are_not_there_are_refused(cell, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        Rows().load(*cell_of(*cell))


def test_rows_of_every_task_and_language_are_whole(rows: Rows, is_mirrored) -> None:
    """Loading checks every row against its task."""
    for task in SHIPPED:
        mirrored = [code for code in task.languages if is_mirrored(task.name, code)]
        for split in ("train", "validation", "test") if mirrored else ():
            there = rows.languages(task, mirrored, split)
            for language in there:
                examples = rows.examples(task, language, split)
                assert len({example.id for example in examples}) > 0.95 * len(examples)
            if task.kind != "mlm" and split != "train":
                assert there or task.name in ("buccpairs", "qqp")  # other configs are mirrored


def test_the_traps_of_the_real_rows_are_counted(rows: Rows) -> None:
    halves = ("validation", "test")

    def mended(task: str, language: str) -> int:
        return sum(rows.load(*cell_of(task, language, split)).num_mended for split in halves)

    assert [mended("xquad", code) for code in ("zh", "ar", "hi", "de")] == [100, 26, 13, 0]
    assert sum(mended("tydiqa", code) for code in ("ar", "bn", "en", "fi", "id", "ru")) == 1883
    assert rows.load(SHIPPED.get("tydiqa"), "en", "train").num_mended == 48
    dropped = [
        rows.load(SHIPPED.get("pawsx"), code, "test").num_dropped
        for code in ("de", "ja", "zh", "en")
    ]
    assert dropped == [12, 22, 12, 0]
    for row in rows.examples(SHIPPED.get("tatoeba"), "fr", "validation"):
        assert isinstance(row, RetrievalExample)
        assert row.text == row.text.strip()
        assert row.pivot == row.pivot.strip()


def test_languages_without_rows_are_known_before_they_are_read(rows: Rows) -> None:
    udpos = SHIPPED.get("udpos")
    there = rows.languages(SHIPPED.get("udpos"), udpos.languages, "validation")
    assert {"kk", "tl"} <= set(there)  # no dev split: half of their test rows
    assert not {"th", "yo", "ko", "tr"} & set(there)  # not in this data root
    assert rows.languages(SHIPPED.get("pawsx"), ("de", "en", "fr"), "train") == ("en",)
    assert rows.languages(SHIPPED.get("tydiqa"), ("fi", "ko"), "test") == ("fi",)
    with pytest.raises(NoRowsError):
        rows.load(SHIPPED.get("tydiqa"), "ko", "test")


def test_halves_share_nothing(rows: Rows, is_mirrored) -> None:
    """Of all tasks and languages together: no paragraph, text or sentence lies in both."""
    seen: dict[str, dict[str, set[str]]] = {}
    for task, language in CUT:
        entry = SHIPPED.get(task)
        if is_mirrored(task, language) and rows.languages(entry, (language,), "validation"):
            halves = seen.setdefault(task, {"validation": set(), "test": set()})
            for split, links in halves.items():
                result = rows.examples(entry, language, split)
                assert result, f"{task} in {language}"
                links |= {link for row in result for link in shared_texts(row, entry)}
    cut = {"xquad", "tydiqa", "tatoeba", "udpos", "squad", "squad2", "csqa", "cosmosqa"}
    assert cut <= set(seen)
    for task, halves in seen.items():
        assert not halves["validation"] & halves["test"], task


def test_a_paragraph_lies_in_one_half_in_all_languages_and_tasks(rows: Rows) -> None:
    """XQuAD's are translations of each other, and SQuAD's validation rows have the English."""
    ids = {
        split: {
            code: [row.id for row in rows.examples(SHIPPED.get("xquad"), code, split)]
            for code in ("ar", "de", "en", "es", "hi", "ru", "zh")
        }
        for split in ("validation", "test")
    }
    for split, other in (("validation", "test"), ("test", "validation")):
        assert len(set(map(tuple, ids[split].values()))) == 1
        for task, num in (("squad", 100), ("squad2", 100)):
            there = {row.id for row in rows.examples(SHIPPED.get(task), "en", split)}
            assert len(there.intersection(ids[split]["en"])) > num
            assert not there.intersection(ids[other]["en"])
    assert [len(ids[split]["de"]) for split in ("validation", "test")] == [550, 640]


def test_whose_validation_rows_have_whose_is_what_the_tasks_say(rows: Rows, is_mirrored) -> None:
    """All tasks that one can train on and that have validation rows in English, against all that
    have test rows there."""
    whole, result = replace(rows, halves=False), {}
    hub = [t for t in SHIPPED if t.dataset != "pocket" and is_mirrored(t.name, "en")]
    for split in ("validation", "test"):
        for task in [t for t in hub if rows.languages(t, ("en",), split)]:
            texts = [shared_texts(row, task) for row in whole.examples(task, "en", split)]
            result[task.name, split] = {(task.kind, link) for links in texts for link in links}
    assert len(result) > 20
    held = {
        (task.name, other)
        for task in hub
        if task.train_on is None and (task.name, "validation") in result
        for other in [other.name for other in SHIPPED]
        if other != task.name
        and len(result[task.name, "validation"] & result.get((other, "test"), set())) > 1
    }
    assert held == {(task.name, other) for task in hub for other in task.holds}


def test_a_language_that_cannot_be_cut_says_why(changed_root) -> None:
    def change(result: list[dict[str, Any]]) -> None:
        for row in result:
            row["context"] = result[0]["context"]
            row["answers"] = {"text": [result[0]["context"][:3]], "answer_start": [0]}

    root = changed_root(XTREME, "XQuAD.en/validation", change)
    there = Rows(str(root))
    result = there.languages(SHIPPED.get("xquad"), ("en",), "validation")
    empty = "test" if result else "validation"
    with pytest.raises(NoRowsError, match=r"is cut by paragraph, and all 40 rows are in the other"):
        there.load(SHIPPED.get("xquad"), "en", empty)


def test_the_cut_is_named() -> None:
    halves, whole = Rows(), Rows(halves=False)
    assert (
        halves.describe_cut(SHIPPED.get("xquad"), ("de", "en"), "test")
        == "half of validation by paragraph"
    )
    assert (
        halves.describe_cut(SHIPPED.get("cosmosqa"), ("en",), "test")
        == "half of validation by text"
    )
    assert (
        halves.describe_cut(SHIPPED.get("tatoeba"), ("de",), "test")
        == "half of validation by parallel id"
    )
    of_test = "half of test by parallel id (kk tl)"
    assert halves.describe_cut(SHIPPED.get("udpos"), ("de", "kk", "tl"), "test") == of_test
    assert (
        whole.describe_cut(SHIPPED.get("xquad"), ("de", "en"), "test")
        == "whole validation as validation and test"
    )
    for split in ("validation", "test"):
        of_test = "whole test as validation and test (kk tl)"
        assert whole.describe_cut(SHIPPED.get("udpos"), ("de", "kk", "tl"), split) == of_test
    for rows in (halves, whole):
        assert rows.describe_cut(SHIPPED.get("udpos"), ("de",), "test") == ""
        assert rows.describe_cut(SHIPPED.get("xquad"), ("de",), "train") == ""
        assert rows.describe_cut(SHIPPED.get("pos"), ("de",), "test") == ""


def test_without_halves_both_splits_are_the_benchmarks_own_rows(rows: Rows) -> None:
    whole = replace(rows, halves=False)
    for name, language in (("xquad", "de"), ("tydiqa", "fi"), ("udpos", "kk")):
        task = SHIPPED.get(name)
        halves = [rows.examples(task, language, split) for split in ("validation", "test")]
        result = whole.examples(task, language, "test")
        assert result == whole.examples(task, language, "validation")
        assert len(result) == len(halves[0]) + len(halves[1])
        assert set(result) == {*halves[0], *halves[1]}
        assert whole.fingerprint(task, language, "test") != rows.fingerprint(task, language, "test")
        assert whole.fingerprint(task, language, "test") == whole.fingerprint(
            task, language, "validation"
        )
    assert len(whole.examples(SHIPPED.get("xquad"), "de", "test")) == 1190
    for cell in (("udpos", "de", "test"), ("squad", "en", "train"), ("panx", "ar", "validation")):
        assert whole.fingerprint(*cell_of(*cell)) == rows.fingerprint(*cell_of(*cell))


def test_dropped_rows_keep_their_place(changed_root) -> None:
    def change(result: list[dict[str, Any]]) -> None:
        for number in (0, 5, 6, 39):
            result[number]["sentence1"] = "NS"
        for number in (1, 12, 20, 30):
            assert result[number]["sentence1"] != "NS"

    root = changed_root(XTREME, "PAWS-X.de/test", change)
    loaded = Rows(str(root)).load(SHIPPED.get("pawsx"), "de", "test")
    ids = [example.id for example in loaded.examples]
    assert len(ids) + loaded.num_dropped == 40
    for number in (0, 5, 6, 39):
        assert f"test-{number:06d}" not in ids
        assert sum(name < f"test-{number:06d}" for name in ids) in loaded.dropped


def test_rows_by_root_and_by_name_have_one_digest(rows: Rows, mirror: Path, monkeypatch) -> None:
    cells = [("xquad", "zh", "test"), ("panx", "ar", "validation"), ("csqa", "en", "train")]
    by_root = [rows.fingerprint(*cell_of(*cell)) for cell in cells]
    monkeypatch.chdir(mirror)
    assert [Rows().fingerprint(*cell_of(*cell)) for cell in cells] == by_root
    _load.cache_clear()  # where the rows of no data root lie depends on the folder
    _fingerprint.cache_clear()


def test_a_description_says_what_there_is(rows: Rows) -> None:
    result = rows.describe(SHIPPED.get("pawsx"), "ja", "test")
    assert (result.dataset, result.config, result.hub_split) == (XTREME, "PAWS-X.ja", "test")
    assert (result.num_rows, result.num_dropped, result.num_mended) == (978, 22, 0)
    assert result.digest == rows.fingerprint(SHIPPED.get("pawsx"), "ja", "test")
    assert result.licence is not None
    assert result.licence.startswith("free for any purpose")
    assert result.parts == (Part(XTREME, "PAWS-X.ja", "test", result.revision or ""),)
    made = rows.describe(SHIPPED.get("coh"), "de", "test")
    assert made.licence == "Unicode-3.0 (CLDR)"
    assert made.parts == ()


def set_key(number: int, **changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(result: list[dict[str, Any]]) -> None:
        result[number].update(changes)

    return change


@pytest.mark.parametrize(
    ("task", "language", "dataset", "file", "change", "message"),
    [
        ("pawsx", "de", XTREME, "PAWS-X.de/validation", set_key(7, label="2"), "label '2'"),
        ("pawsx", "de", XTREME, "PAWS-X.de/validation", set_key(7, sentence1=" "), "is empty"),
        ("panx", "de", XTREME, "PAN-X.de/validation", set_key(7, ner_tags=[0] * 90), "90 tags"),
        ("panx", "de", XTREME, "PAN-X.de/validation", set_key(7, langs=["nl"]), "mixed languages"),
        (
            "tatoeba",
            "de",
            XTREME,
            "tatoeba.deu/validation",
            set_key(7, target_lang="fra"),
            "mixed languages",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_id(
    changed_root, task: str, language: str, dataset: str, file: str, change, message: str
) -> None:
    root = changed_root(dataset, file, change)
    with pytest.raises(Refusal, match=f"task '{task}', row 'validation-000007': ") as refused:
        Rows(str(root)).load(*cell_of(task, language, "validation"))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_answer_that_is_not_in_the_context_is_refused_with_the_rows_id(changed_root) -> None:
    def change(result: list[dict[str, Any]]) -> None:
        for row in result:
            row["answers"] = {"answer_start": [3], "text": ["nirgends zu finden"]}

    root = changed_root(XTREME, "XQuAD.de/validation", change)
    with pytest.raises(Refusal, match=r"task 'xquad', row '5[0-9a-f]+': .*is nowhere in it"):
        Rows(str(root)).load(SHIPPED.get("xquad"), "de", "validation")


def test_rows_of_an_unknown_language_are_refused_with_their_id(changed_root) -> None:
    root = changed_root(XTREME, "tydiqa/validation", set_key(3, id="klingon-1"))
    with pytest.raises(Refusal, match="row 'klingon-1': its id starts with the language 'klingon'"):
        Rows(str(root)).load(SHIPPED.get("tydiqa"), "ar", "validation")


def test_traps_of_the_other_targets_are_counted(rows: Rows) -> None:
    for code in ("ar", "de", "en", "es", "hi"):
        assert rows.load(SHIPPED.get("mlqa"), code, "test").num_mended == 0
    squad2 = rows.load(SHIPPED.get("squad2"), "en", "train")
    num_unanswerable = sum(not e.answers for e in squad2.examples if isinstance(e, SpanExample))
    assert 0.2 < num_unanswerable / len(squad2.examples) < 0.6
    snli = rows.load(SHIPPED.get("snli"), "en", "train")
    assert len(snli.examples) + snli.num_dropped == 7500
    assert rows.load(SHIPPED.get("panx"), "de", "train").num_dropped == 0
    assert len(rows.examples(SHIPPED.get("xcopa"), "qu", "validation")) == 100
    assert len(rows.examples(SHIPPED.get("xcopa"), "qu", "test")) == 500


def test_a_task_of_parts_has_the_rows_of_all_of_them(mirror: Path, make_root) -> None:
    nli = {"premise": "P.", "hypothesis": "H.", "reason": ""}
    rounds = [f"{split}_r{number}" for split in ("train", "dev") for number in (1, 2, 3)]
    names = ["entailment", "neutral", "contradiction"]
    root = make_root(
        "facebook/anli",
        "plain_text",
        {name: [{"uid": f"{name}-{i}", "label": i, **nli} for i in range(3)] for name in rounds},
        labels={"label": names},
    )
    made = [{"label": label, **nli} for label in (0, -1, 2)]
    splits = {"train": made, "validation": made}
    make_root("stanfordnlp/snli", "plain_text", splits, labels={"label": names})
    (root / "nyu-mll").symlink_to(mirror / "nyu-mll")
    rows = Rows(str(root))
    result = rows.load(SHIPPED.get("anliplus"), "en", "train")
    parts = {name: rows.load(*cell_of(name, "en", "train")) for name in ("anli", "mnli", "snli")}
    assert len(parts["anli"].examples) == 9
    assert [e.id for e in result.examples] == [
        f"{name}/{e.id}" for name, part in parts.items() for e in part.examples
    ]
    assert result.num_dropped == sum(part.num_dropped for part in parts.values())
    before = len(parts["anli"].examples) + len(parts["mnli"].examples)
    assert (parts["snli"].dropped, result.dropped) == ((1,), (before + 1,))
    described = rows.describe(SHIPPED.get("anliplus"), "en", "validation")
    assert [(part.dataset, part.split) for part in described.parts] == [
        *[("facebook/anli", f"dev_r{number}") for number in (1, 2, 3)],
        ("nyu-mll/multi_nli", "validation_matched"),
        ("stanfordnlp/snli", "validation"),
    ]
    assert described.hub_split is not None
    with pytest.raises(NoRowsError):
        rows.load(SHIPPED.get("anliplus"), "en", "test")  # the made ANLI has no test rounds
