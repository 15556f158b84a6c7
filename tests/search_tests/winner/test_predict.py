"""predict, from the command line: files and standard input to JSON lines."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.winner import predict as predicting
from search.winner.predict import read_rows
from spaces.refusal import Refusal
from trainables.exporting.predictor import load_predictor

Run = Callable[..., Any]
ModelFolder = Callable[[str], Path]
ROWS = [
    {"id": f"r{number}", "text_a": "uno dos tres", "text_b": text}
    for number, text in enumerate(["cuatro", "lunes martes", None, "ein Euro", "x " * 30])
]


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def refused(result: Any, message: str) -> None:
    assert result.code == 2, result.err
    assert result.err.count("\n") == 1, result.err
    assert len(result.err) < 800, len(result.err)
    assert message in result.err
    assert result.out == ""


def test_rows_of_a_file(
    cli: Run, model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("rel")
    expected = [
        {"id": row["id"], **answer}
        for row, answer in zip(ROWS, load_predictor(folder).answer(ROWS), strict=True)
    ]
    file = jsonl(tmp_path / "rows.jsonl", ROWS)
    done = cli("predict", folder, file)
    assert (done.code, done.err) == (0, "")
    assert answers(done.out) == expected

    # In batches it is the same, and no more rows than one of them are asked at once.
    sizes = []
    asked = predicting.Predictor.answer
    monkeypatch.setattr(predicting, "BATCH_ROWS", 2)
    monkeypatch.setattr(
        predicting.Predictor,
        "answer",
        lambda self, rows: sizes.append(len(rows)) or asked(self, rows),
    )
    out = tmp_path / "answers.jsonl"
    done = cli("predict", folder, file, "--out", out)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert sizes == [2, 2, 1]
    said = answers(out.read_text())
    assert [row["id"] for row in said] == [row["id"] for row in ROWS]
    assert [row["label"] for row in said] == [row["label"] for row in expected]

    before = out.read_text()
    refused(cli("predict", folder, file, "--out", out), "exists already")
    assert out.read_text() == before


def test_standard_input_and_csv(
    cli: Run, model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("rel")
    table = 'text_a,text_b,id\n"uno\ndos",,7\ntres,"cuatro, cinco",8\n'
    rows = [
        {"text_a": "uno\ndos", "text_b": None, "id": "7"},
        {"text_a": "tres", "text_b": "cuatro, cinco", "id": "8"},
    ]
    stdin = SimpleNamespace(buffer=io.BytesIO(table.encode()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    done = cli("predict", folder, "--format", "csv")
    assert done.code == 0, done.err
    (tmp_path / "rows.csv").write_text(table)
    assert cli("predict", folder, tmp_path / "rows.csv").out == done.out
    assert done.out == cli("predict", folder, jsonl(tmp_path / "rows.jsonl", rows)).out
    assert [row["id"] for row in answers(done.out)] == ["7", "8"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    refused(cli("predict", folder), "name a file, or pipe rows to standard input")


def test_lists_in_a_table(cli: Run, model_folder: ModelFolder, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('text,choices\nuno,"[""dos"", ""tres"", ""seis""]"\n')
    done = cli("predict", model_folder("fact"), file)
    assert done.code == 0, done.err
    (answer,) = answers(done.out)
    assert answer["choice"] in (0, 1, 2)
    assert len(answer["probabilities"]) == 3
    file.write_text("text,choices\nuno,dos|tres\n")
    refused(cli("predict", model_folder("fact"), file), "line 2: choices is 'dos|tres'; expected a")


def test_vectors(cli: Run, model_folder: ModelFolder, tmp_path: Path) -> None:
    done = cli("predict", model_folder("retrieval"), jsonl(tmp_path / "x.jsonl", [{"text": "uno"}]))
    ((answer),) = answers(done.out)
    assert answer.keys() == {"vector"}
    assert len(answer["vector"]) > 8


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text_a": "x"}\n\n{"text": 1}\n', "line 3 has no column 'text_a'"),
        ("a.jsonl", '{"text_a": "x"}\n{"text_a": 1}\n', "line 2: text_a is 1; expected text"),
        ("a.jsonl", '{"text_a": "x"}\n{"text_a": ""}\n', "row 'line 2'"),
        ("a.jsonl", '{"text_a": "x"}\n{"text_a"\n', "line 2 is not JSON"),
        ("a.jsonl", '["x"]\n', "line 1 is '[\"x\"]'; expected a JSON object"),
        ("a.csv", "text_a,text_b\nx,y\nz\n", "line 3 does not have as many cells"),
        ("a.csv", 'text_a,text_b\n"x\ny",z\nx,y,z\n', "line 4 does not have as many cells"),
        ("a.csv", 'text_a,text_b\n"x"y,z\n', "line 2 is not CSV"),
        ("a.csv", "text_a,text_a\nx,y\n", "the header names the column 'text_a' more than once"),
        (
            "a.jsonl",
            '{"text_a": "x"}\n{"text_a": "cut \\ud83d"}\n',
            "line 2: column 'text_a' holds",
        ),
        ("a.jsonl", '{"text_a": "x"}\n{"id": "\\ude00", "text_a": "x"}\n', "line 2: column 'id' h"),
        ("a.jsonl", '{"text_a": "x", "id": ["a"]}\n', "line 1: id is ['a']; expected text or"),
        ("a.jsonl", '{"text_a": ' + "[" * 9000 + "}\n", "line 1 is not JSON that can be read"),
        ("a.jsonl", '{"text_a": ["' + "x" * 99_999 + '"]}\n', "line 1: text_a is ['xxx"),
        ("a.jsonl", '{"' + "x" * 99_999 + '": 1}\n', "the row has xxx"),
        ("a.txt", "x", "does not end in .jsonl, .ndjson, .csv; give its format with --format"),
    ],
)
def test_bad_rows_are_refused_before_anything_is_written(
    name: str, content: str, message: str, cli: Run, model_folder: ModelFolder, tmp_path: Path
) -> None:
    file, out = tmp_path / name, tmp_path / "out.jsonl"
    file.write_text(content)
    refused(cli("predict", model_folder("rel"), file, "--out", out), message)
    refused(cli("predict", model_folder("rel"), file), message)
    assert not out.exists()


def test_other_refusals(cli: Run, model_folder: ModelFolder, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "rows.jsonl", ROWS)
    refused(
        cli("predict", tmp_path / "nowhere", file),
        "is not a folder; expected a folder that `export`",
    )
    refused(cli("predict", tmp_path, file), "is not a folder that `export` wrote")
    refused(cli("predict", model_folder("rel"), tmp_path / "none.jsonl"), "cannot be read")
    refused(cli("predict", model_folder("rel"), file, "--format", "jsn"), "unknown format 'jsn'")
    (tmp_path / "latin.jsonl").write_bytes('{"text_a": "año"}\n'.encode("latin-1"))
    refused(cli("predict", model_folder("rel"), tmp_path / "latin.jsonl"), "is not UTF-8 text")
    nowhere = tmp_path / "file" / "out.jsonl"
    refused(cli("predict", model_folder("rel"), file, "--out", nowhere), "cannot be written")
    home = ("--home", tmp_path / "home")
    refused(cli("predict", "models:/a/1", file, *home), "no MLflow database at")


def test_answers_are_there_whole_or_not_at_all(
    model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load_predictor(model_folder("rel"))
    file, out = jsonl(tmp_path / "rows.jsonl", ROWS), tmp_path / "out.jsonl"
    monkeypatch.setattr(predicting, "BATCH_ROWS", 2)

    def interrupted(done: int, of: int) -> None:
        assert of == len(ROWS)
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predicting.predict_rows(predictor, file, form="jsonl", out=out, on_done=interrupted)
    assert not out.exists()


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_text("text_a\nx\n", encoding="utf-8-sig")
    assert list(read_rows(tmp_path / "excel.csv", "csv")) == [(2, {"text_a": "x"})]


@contextlib.contextmanager
def pipe_of(content: bytes) -> Iterator[Path]:
    """The name of a pipe with this content, as `<(...)` makes it."""
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "wb") as end:
            end.write(content)

    writer = Thread(target=fill)
    writer.start()
    try:
        yield Path(f"/dev/fd/{read}")
    finally:
        os.close(read)
        writer.join()


@contextlib.contextmanager
def fifo_of(content: bytes, path: Path) -> Iterator[Path]:
    os.mkfifo(path)
    writer = Thread(target=lambda: path.write_bytes(content))
    writer.start()
    try:
        yield path
    finally:
        writer.join()


def test_a_pipe_with_a_name_is_answered(
    cli: Run, model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lines = model_folder("rel"), "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()
    expected = cli("predict", folder, jsonl(tmp_path / "rows.jsonl", ROWS)).out
    assert len(answers(expected)) == len(ROWS)
    with pipe_of(lines) as pipe:
        done = cli("predict", folder, pipe)
    assert (done.code, done.err, done.out) == (0, "", expected)
    with fifo_of(lines, tmp_path / "pipe.jsonl") as pipe:
        assert cli("predict", folder, pipe).out == expected
    with fifo_of(b"text_a\nuno\n", tmp_path / "pipe.csv") as pipe:
        assert len(answers(cli("predict", folder, pipe).out)) == 1
    with pipe_of(b"text_a\nuno\ndos\n") as pipe:
        assert len(answers(cli("predict", folder, pipe, "--format", "csv").out)) == 2
    with pipe_of(lines + b'{"text": 1}\n') as pipe:
        refused(cli("predict", folder, pipe), "line 6 has no column 'text_a'")
    with (tmp_path / "rows.jsonl").open() as opened:
        assert cli("predict", folder, f"/dev/fd/{opened.fileno()}", "--format", "jsonl").out
    monkeypatch.setattr(
        predicting.tempfile,
        "NamedTemporaryFile",
        lambda **_: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"),
    )
    with pipe_of(lines) as pipe:
        done = cli("predict", folder, pipe)
    assert (done.code, done.out) == (5, "")
    assert "No space left on device" in done.err
    assert done.err.count("\n") == 1


def test_a_device_without_an_end_is_refused(cli: Run, model_folder: ModelFolder) -> None:
    for arguments in ((), ("--format", "csv")):
        refused(cli("predict", model_folder("rel"), "/dev/zero", *arguments), "is a device")
    assert cli("predict", model_folder("rel"), "/dev/null", "--format", "jsonl").out == ""


@pytest.mark.parametrize("endless", ["cat /dev/zero", "cat /dev/urandom"])
def test_standard_input_without_an_end_is_refused(
    endless: str, cli: Run, model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = subprocess.Popen(endless.split(), stdout=subprocess.PIPE)
    try:
        monkeypatch.setattr(
            sys, "stdin", SimpleNamespace(buffer=source.stdout, isatty=lambda: False)
        )
        for arguments in ((), ("--format", "csv")):
            done = cli("predict", model_folder("rel"), *arguments)
            refused(done, "standard input has a NUL byte; expected rows as UTF-8 text")
    finally:
        source.kill()
        source.wait()


def test_text_in_two_bytes_a_letter_is_refused(
    cli: Run, model_folder: ModelFolder, tmp_path: Path
) -> None:
    with pipe_of('{"text_a": "uno"}'.encode("utf-16")) as pipe:
        refused(cli("predict", model_folder("rel"), pipe), "has a NUL byte; expected rows as UTF-8")


@pytest.mark.parametrize("size", [131_073, 3_000_000])
def test_cells_of_any_length(
    size: int, cli: Run, model_folder: ModelFolder, tmp_path: Path
) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text_a", "text_b"], ["uno " * (size // 4 + 1), "dos"]])
    done = cli("predict", model_folder("rel"), tmp_path / "rows.csv")
    assert (done.code, len(answers(done.out))) == (0, 1), done.err


def test_a_byte_order_mark_before_any_line(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (tmp_path / "joined.jsonl").write_bytes(mark + b'{"text_a": "x"}\n' + mark + b'{"text_a": "y"}')
    rows = [{"text_a": "x"}, {"text_a": "y"}]
    assert [row for _, row in read_rows(tmp_path / "joined.jsonl", "jsonl")] == rows


CELLS = st.text(st.sampled_from('ab,"\n\r\x00[]{}1é😀\u2028'), max_size=12)
TABLES = st.lists(st.lists(CELLS, max_size=3), max_size=4)


def written(table: list[list[str]]) -> bytes:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows(table)
    return lines.getvalue().encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


@given(content=st.binary(max_size=60) | CELLS.map(str.encode) | TABLES.map(written))
def test_any_bytes_of_a_csv_file(place: Path, content: bytes) -> None:
    (place / "rows.csv").write_bytes(content)
    for column in (b"", b"words,text_b\n"):
        (place / "rows.csv").write_bytes(column + content)
        try:
            rows = list(read_rows(place / "rows.csv", "csv"))
        except Refusal as refusal:
            message = str(refusal)
        else:
            message = ""
            assert all(isinstance(row, dict) for _, row in rows)
        assert len(message.splitlines()) <= 1
        assert len(message) < 400


@given(table=st.lists(st.tuples(CELLS, CELLS)))
def test_what_the_csv_module_writes_is_read(place: Path, table: list[tuple[str, str]]) -> None:
    (place / "rows.csv").write_bytes(written([["text_a", "more"], *map(list, table)]))
    read = [(row["text_a"], row["more"]) for _, row in read_rows(place / "rows.csv", "csv")]
    assert read == table
