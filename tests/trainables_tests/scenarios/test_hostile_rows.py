"""Any value in any column of any row: it becomes an example, or is refused by its task and id."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task, TaskKind
from tests.by_name import own_task
from trainables.formats.base import RowError
from trainables.formats.kinds import format_of_task
from trainables.row_files.files import read_file
from trainables.rows.folders import read_own_rows
from trainables.rows.hub_readers import READERS, read_row, reader_of

LABELS = ("bug", "wish")
OWN: dict[TaskKind, dict[str, Any]] = {
    TaskKind.CLASSIFICATION: {"sentence1": "A.", "sentence2": "B.", "label": "bug"},
    TaskKind.CHOICE: {"text": "Which?", "choices": ["one", "two"], "label": 1},
    TaskKind.SPAN: {
        "question": "Where?",
        "context": "Ali is in Nairobi.",
        "answers": {"text": ["Nairobi"], "answer_start": [10]},
    },
    TaskKind.TAGGING: {"tokens": ["Ali", "is"], "tags": ["bug", "wish"]},
    TaskKind.RETRIEVAL: {"sentence": "Nyumba.", "translation": "A house."},
    TaskKind.MLM: {"text": "Nyumba.", "pair": "A house."},
}
SQUAD = OWN[TaskKind.SPAN]
NLI = {"premise": "P.", "hypothesis": "H.", "label": "neutral"}
HUB: dict[str, tuple[str, dict[str, Any]]] = {  # reader -> task, row in German or English
    "bucc": ("bucc", {"sentence": "Ja.", "is_pivot": False, "partners": ["en-1"]}),
    "buccpairs": (
        "buccpairs",
        {
            "source_lang": "de-1",
            "target_lang": "en-1",
            "source_sentence": "Ja.",
            "target_sentence": "Yes.",
        },
    ),
    "ccg": ("ccg", {"tokens": ["Yes"], "tags": ["supertag-1"]}),
    "cosmosqa": (
        "cosmosqa",
        {"context": "C", "question": "Q", "label": 1, **{f"answer{i}": f"a{i}" for i in range(4)}},
    ),
    "csqa": (
        "csqa",
        {"question": "Q", "answerKey": "A", "choices": {"text": ["x", "y"], "label": ["A", "B"]}},
    ),
    "flores": ("flores", {"sentence": "Ja."}),
    "hellaswag": ("hellaswag", {"ctx": "C", "endings": ["a", "b"], "label": "1", "source_id": "s"}),
    "mnli": ("mnli", NLI),
    "mlqa": ("mlqa", SQUAD),
    "panx": ("panx", {"tokens": ["Ja"], "ner_tags": ["O"], "langs": ["de"]}),
    "pawsx": ("pawsx", {"sentence1": "A", "sentence2": "B", "label": "1"}),
    "qqp": ("qqp", {"question1": "A?", "question2": "B?", "label": "duplicate"}),
    "snli": ("snli", NLI),
    "squad": ("squad", SQUAD),
    "squad2": ("squad2", SQUAD),
    "tatoeba": (
        "tatoeba",
        {
            "source_lang": "deu",
            "target_lang": "eng",
            "source_sentence": "Ja.",
            "target_sentence": "Yes.",
        },
    ),
    "tydiqa": ("tydiqa", {**SQUAD, "id": "english-1"}),
    "udpos": ("udpos", {"tokens": ["Ja"], "pos_tags": ["INTJ"]}),
    "xcopa": (
        "xcopa",
        {"premise": "P", "choice1": "a", "choice2": "b", "question": "cause", "label": 0},
    ),
    "xnli": ("xnli", NLI),
    "xquad": ("xquad", SQUAD),
}


def own(kind: TaskKind) -> Task:
    labels = LABELS if kind in (TaskKind.CLASSIFICATION, TaskKind.TAGGING) else ()
    return own_task("own", kind, "own", languages=("en", "de"), labels=labels, num_train_rows=3)


def language_of(task: Task) -> str:
    return "de" if "de" in task.languages else "en"


CASES: list[tuple[Task, dict[str, Any]]] = [
    *((own(kind), row) for kind, row in OWN.items()),
    *((SHIPPED.get(task), row) for task, row in HUB.values()),
]
NAMES = [f"{task.name}-{task.kind}" for task, _ in CASES]


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


ODD: list[Any] = [
    None, True, False, 0, -1, 7, 7.0, 7.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"),
    "", " ", "\n", "7", "a\nb", "x" * 1_000_000, "\ud83d", "cut \ud83d", "\x00", "e\u0301",
    "\u2028",
    [], [[]], [None], ["a"], ["\ud83d"], [1], [1.0], [True], [{}], ["x"] * 100_000, nested(900),
    {}, {"text": "x"}, {"text": [], "answer_start": []}, {"text": "Ali", "answer_start": [0, 1, 2]},
    {"text": [None], "answer_start": [0]}, {"text": ["Ali"], "answer_start": [None]},
    {"text": ["Ali"], "answer_start": [float("nan")]}, {"text": [""], "answer_start": [0]},
    {"text": None, "answer_start": None}, {"text": [["Ali"]], "answer_start": [[0]]},
    {"text": ["Ali"], "answer_start": [10**30]}, {"text": [nested(900)], "answer_start": [0]},
    {"text": ["x" * 1_000_000], "answer_start": [0]}, {"text": {"a": 1}, "answer_start": {"b": 0}},
    {"text": ["x"], "label": None}, {"text": None, "label": ["A"]}, {"a": {"b": "\ud83d"}},
]  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=8
)


def read_or_refuse(task: Task, row: dict[str, Any]) -> str | None:
    """What the row is refused with; None for an example, or a row that a reader drops."""
    language = language_of(task)
    try:
        reading = read_row(
            row, task, language, reader=reader_of(task, language), fallback_id="train-000007"
        )
        if reading.example is None:
            return None
        format_of_task(task).check(reading.example, task)
    except RowError as refusal:
        message = str(refusal)
        # An id with a single quote stands in double ones.
        assert message.startswith((f"task {task.name!r}, row '", f'task {task.name!r}, row "'))
        assert message.isprintable(), message
        assert len(message) < 1500, len(message)
        return message
    json.dumps(asdict(reading.example), ensure_ascii=False).encode()  # every text can be stored
    assert isinstance(reading.example.id, str)
    return None


def test_all_readers_are_tried() -> None:
    assert HUB.keys() == READERS.keys()
    for task, row in CASES:
        assert read_or_refuse(task, row) is None, task.name
    assert {task.kind for task in SHIPPED} == OWN.keys()


@pytest.mark.parametrize(("task", "row"), CASES, ids=NAMES)
def test_an_odd_value_in_each_column(task: Task, row: dict[str, Any]) -> None:
    for column in (*row, "id", "pairID", "unused"):
        for value in ODD:
            message = read_or_refuse(task, {**row, column: value})
            if column == "unused" and value in ("\ud83d", "cut \ud83d", ["\ud83d"]):
                assert message is not None
            elif column == "unused" and value != {"a": {"b": "\ud83d"}}:
                assert message is None
        without = {name: value for name, value in row.items() if name != column}
        read_or_refuse(task, without)


@pytest.mark.parametrize(("task", "row"), CASES, ids=NAMES)
@given(data=st.data())
def test_any_value_in_any_columns(task: Task, row: dict[str, Any], data: st.DataObject) -> None:
    columns = st.sampled_from([*row, "id"])
    changes = data.draw(st.dictionaries(columns, ANYTHING, min_size=1, max_size=3))
    read_or_refuse(task, {**row, **changes})


@given(answers=st.fixed_dictionaries({"text": ANYTHING, "answer_start": ANYTHING}))
def test_any_answers(answers: dict[str, Any]) -> None:
    read_or_refuse(own(TaskKind.SPAN), {**SQUAD, "answers": answers})


@pytest.mark.parametrize("column", ["id", "sentence1", "sentence2", "label", "unused"])
@pytest.mark.parametrize("half", ["\ud83d", "x\ude00", "\udc80y"])
def test_half_of_a_surrogate_pair_is_refused(column: str, half: str) -> None:
    row = {"id": "r-1", **OWN[TaskKind.CLASSIFICATION], column: half}
    message = read_or_refuse(own(TaskKind.CLASSIFICATION), row)
    assert message is not None
    assert f"column {column!r} holds half of a surrogate pair" in message
    assert "'r-1'" in message or column == "id"


@pytest.mark.parametrize("value", [7, 0, 7.0, True, False, ["a"], [], {}, {"a": 1}])
@pytest.mark.parametrize("column", ["id", "uid"])
def test_ids_of_your_own_rows_are_text(column: str, value: Any) -> None:
    row = {**OWN[TaskKind.CLASSIFICATION], column: value}
    message = read_or_refuse(own(TaskKind.CLASSIFICATION), row)
    assert message is not None
    assert message.startswith("task 'own', row 'train-000007': its ")


def one_line_refusal(refusal: Refusal, limit: int) -> None:
    assert len(str(refusal).splitlines()) == 1, refusal
    assert len(str(refusal)) < limit


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


OBJECTS = st.dictionaries(ANY_TEXT, ANYTHING, max_size=3)
BAD_LINES = st.binary(max_size=30) | st.sampled_from(
    [b"[" * 5000, b'{"a": ' * 5000, b"9" * 5000, b'{"a": "\\ud83d"}', b"\x00", b"\r", b" "]
)


@given(
    objects=st.lists(OBJECTS, max_size=4),
    mark=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n"]),
    bad=st.none() | BAD_LINES,
)
def test_any_bytes_of_a_jsonl_file(
    folder: Path, objects: list[dict[str, Any]], mark: bool, end: bytes, bad: bytes | None
) -> None:
    lines = [json.dumps(row).encode() for row in objects]
    content = end.join(lines if bad is None else [*lines, bad, b"{}"])
    (folder / "train.jsonl").write_bytes((b"\xef\xbb\xbf" if mark else b"") + content)
    try:
        rows = read_own_rows(folder, None, "train")
    except Refusal as refusal:
        one_line_refusal(refusal, 500)
        rows = None
    if bad is None:
        assert rows is not None
        assert len(rows) == len(objects)
    for row in rows or ():
        read_or_refuse(own(TaskKind.CLASSIFICATION), row)


PIECES = st.sampled_from(
    [
        b"a", b"1", b"\t", b",", b";", b" ", b"  ", b'"', b'""', b"\n", b"\n\n", b"\r\n", b"\r",
        b"#", b"# a = b", b"_", b"1-2", b"1.1", b"-DOCSTART-", b"sentence1,label\n", b"\x00",
        b"\x0b", b"1\tJa\tja\tINTJ\t_\t_\t0\troot\t_\t_", b"tokens\ttags\n", b"\xc3\xa9", b"\xff",
        b"\xef\xbb\xbf", "\u2028".encode(),
    ]
)  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".conll", ".conllu"])
@given(pieces=st.lists(PIECES, max_size=12), header=st.booleans())
def test_any_bytes_of_a_text_file(
    folder: Path, suffix: str, pieces: list[bytes], header: bool
) -> None:
    path = folder / f"any{suffix}"
    path.write_bytes(b"".join(pieces))
    try:
        rows = read_file(path, header=header)
    except Refusal as refusal:
        one_line_refusal(refusal, 700)
        return
    for row in rows:
        for kind in (TaskKind.CLASSIFICATION, TaskKind.TAGGING):
            read_or_refuse(own(kind), row)


PARQUET: dict[str, pa.Array] = {
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "nested map": pa.array([[[("a", None)]]], pa.list_(pa.map_(pa.string(), pa.int64()))),
    "late date": pa.array([10_000_000], pa.date32()),
    "nanoseconds": pa.array([123], pa.timestamp("ns")),
    "late time": pa.array([2**62], pa.timestamp("us")),
    "unknown zone": pa.array([0], pa.timestamp("us", tz="Mars/Olympus")),
    "long duration": pa.array([2**62], pa.duration("s")),
    "not UTF-8": pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    ),
    "bytes": pa.array([b"\xff"]),
    "decimal": pa.array([None], pa.decimal128(38, 10)),
    "null": pa.array([None]),
    "half": pa.array([1.5], pa.float64()).cast(pa.float16()),
    "struct": pa.array([{"a": [{"b": 1}]}]),
    "dictionary": pa.array(["a"]).dictionary_encode(),
    "time": pa.array([1], pa.time64("ns")),
    "view": pa.array(["a"], pa.string_view()),
    "large": pa.array(["a"], pa.large_string()),
    "fixed": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_column_of_any_type_that_nobody_reads(name: str, tmp_path: Path) -> None:
    columns = {"sentence1": pa.array(["A."]), "label": pa.array(["bug"]), "more": PARQUET[name]}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    (row,) = read_own_rows(tmp_path, None, "train")
    task = own(TaskKind.CLASSIFICATION)
    assert read_or_refuse(task, row) is None
    used = read_or_refuse(task, {**row, "label": row["more"]})
    assert used is not None
    used = read_or_refuse(task, {**row, "sentence1": row["more"]})
    assert (used is None) == (name in ("dictionary", "view", "large"))
