"""The published schemas: they say what the types say, and reports hold to them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scripts.report_schemas import FOLDER, PAGE, PUBLISHED, files, write
from search.display.json_form import json_of, json_schema
from search.record.reader import RetrainRole, RetrainRow, StudyRecord
from search.recorded_settings import RecordedSettings
from search.report.comparison import compare
from search.report.forms import report_json
from search.report.status import StudyStatus
from search.trials.ranking import TrialState
from trainables.scoring.scores import Scores

PRIORS = {
    "options": [
        {"option": name, "rank": float(place), "place": place, "logme": 0.4, "ranks": {}}
        for place, name in enumerate(("fact", "coh", "rel"), start=1)
    ],
    "sources": {"fact@en": {"logme": 0.4, "similarity": {"rel": 0.9}, "rows": "256 rows"}},
    "notes": ["texts are compared at layer 3"],
    "first": [{"intermediate": "fact", "lora.rank": 8}],
}
CODES = ("de", "nl", "fr", "es", "it", "pt", "ru", "pl", "tr", "fi", "ja", "zh")


def validate(name: str, content: object) -> None:
    """Check a value against the file that is published."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema, cls=jsonschema.Draft202012Validator)


def as_read(content: object) -> Any:
    """The content as a reader of the command's output has it."""
    return json.loads(json.dumps(content, allow_nan=False))


def retrained(planted: Any, role: RetrainRole, seed: int, level: float | None) -> RetrainRow:
    return RetrainRow(
        name="final",
        seed=seed,
        role=role,
        state=TrialState.FAILED if level is None else TrialState.SCORED,
        plan=planted.plan("fact" if role is RetrainRole.WINNER else None),
        phase_keys=(),
        scores=None if level is None else planted.scores(level),
        reason="loss was not finite" if level is None else None,
    )


def wide(planted: Any, slope: float) -> Scores:
    """Enough languages for a regression on distance."""
    far = {code: 0.9 - slope * (0.1 + 0.06 * i) + 0.01 * (i % 3) for i, code in enumerate(CODES)}
    return Scores(targets=(planted.target_scores("rel", {"en": 0.9, **far}),))


@pytest.fixture
def record(planted: Any) -> StudyRecord:
    rows = (*planted.study_rows(), planted.scored(9, 0.5, "rel"))
    cells = planted.verdict_cells(adjusted_all=0.04)
    summary = {
        "verdicts": {"trial": 3, "baseline": 1, "languages": cells},
        "importance": {"rate": 1.0},
        "priors": PRIORS,
    }
    phases = (planted.phase_row("fact-0.0002", learning_rate=1e-4, loss_fell=False),)
    found: StudyRecord = replace(
        planted.record_of(rows), summary=summary, phases=phases, warnings=("few rows",)
    )
    return found


@pytest.fixture
def measured(planted: Any, record: StudyRecord) -> StudyRecord:
    """Slopes on distance, over two seeds."""
    rows = []
    for seed in (0, 1):
        for row in planted.study_rows()[:4]:
            slope = (0.5 if row.plan.is_baseline else 0.3) + 0.02 * seed
            rows.append(
                replace(
                    row,
                    number=10 * seed + row.number,
                    plan=row.plan.with_seed(seed),
                    scores=wide(planted, slope),
                )
            )
    return replace(record, rows=tuple(rows), summary={})


@pytest.fixture
def with_retrains(planted: Any, record: StudyRecord) -> StudyRecord:
    levels = {RetrainRole.WINNER: 0.6, RetrainRole.BASELINE: 0.5, RetrainRole.TWIN: 0.55}
    runs = [
        retrained(planted, role, seed, level + seed / 100)
        for seed in (1, 2)
        for role, level in levels.items()
    ]
    runs.append(retrained(planted, RetrainRole.WINNER, 3, None))
    other = [
        replace(run, name="other", role=role)
        for run, role in zip(runs, (RetrainRole.WINNER, RetrainRole.BASELINE), strict=False)
    ]
    summaries = ({"name": "final", "languages": planted.verdict_cells(num_seeds=2)},)
    return replace(record, retrains=(*runs, *other), retrain_summaries=summaries)


def test_the_published_files_say_what_the_types_say(tmp_path: Path) -> None:
    """If this fails: `make schemas`."""
    write(tmp_path)
    for name, text in files().items():
        assert (tmp_path / name).read_text(encoding="utf-8") == text
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name


def objects(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield schema["title"], schema
    for name, part in schema["$defs"].items():
        if "properties" in part:
            yield name, part


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_every_field_is_described(name: str) -> None:
    schema: Any = json_schema(PUBLISHED[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    for title, part in objects(schema):
        assert part["description"].endswith("."), title
        for key, field in part["properties"].items():
            text = field.get("description", "")
            assert text[:1].isupper() or text.startswith("`"), f"{title}.{key}: {text}"
            assert text.endswith("."), f"{title}.{key}: {text}"


def test_the_page_names_every_key() -> None:
    page = (FOLDER / PAGE).read_text(encoding="utf-8")
    for kind in PUBLISHED.values():
        for title, part in objects(json_schema(kind)):  # type: ignore[arg-type]
            for key in part["properties"]:
                assert f"| `{key}` |" in page, f"{title}.{key}"


def test_planted_reports_hold_to_the_schema(
    record: StudyRecord, measured: StudyRecord, planted: Any
) -> None:
    empty = replace(planted.record_of(()), state="running", summary={})
    for each in (record, measured, empty):
        validate("report", as_read(report_json(each)))
        validate("status", as_read(json_of(StudyStatus.of(each))))
    content: Any = report_json(record)
    assert content["priors"]["first"] == [{"intermediate": "fact", "lora.rank": 8}]
    assert type(content["priors"]["first"][0]["lora.rank"]) is int, "a param keeps its type"
    assert content["verdicts"], "they are checked too"
    assert report_json(measured)["degradation"]["slopes"], "they are checked too"  # type: ignore[index,call-overload]


def test_a_report_with_retrains_holds_to_the_schema(with_retrains: StudyRecord) -> None:
    content = as_read(report_json(with_retrains))
    validate("report", content)
    first, second = content["retrains"]
    assert first["num_failed"] == {"winner": 1, "baseline": 0, "twin": 0}
    assert first["twin"]["num"] == 2
    assert first["languages"][0]["adjusted_all"] is None, "a record of an older version"
    assert "twin" not in second


def test_a_report_of_several_objectives_holds_to_the_schema(planted: Any) -> None:
    rows = [
        replace(row, values={"zero_shot_mean": row.objective, "hours": 1.5})
        for row in planted.study_rows()[:4]
    ]
    evaluation = {"objectives": ["zero_shot_mean", "hours"], "max_drop": 0.02}
    record = replace(
        planted.record_of(tuple(rows)),
        settings=RecordedSettings.parse({"evaluation": evaluation}),
        summary={"pareto": [3], "importances": {"hours": {"rate": 1.0}}},
    )
    content = as_read(report_json(record))
    validate("report", content)
    assert content["pareto"] == [
        {
            "number": 3,
            "name": content["trials"][3]["name"],
            "values": {"zero_shot_mean": 0.61, "hours": 1.5},
        }
    ]


def test_a_comparison_holds_to_the_schema(record: StudyRecord, planted: Any) -> None:
    rows = (planted.scored(0, 0.5, None, rows=50), planted.scored(1, 0.6, "fact", rows=50))
    other = replace(planted.record_of(rows), name="other")
    content = as_read(json_of(compare([record, other], force=True)))
    validate("compare", content)
    assert content["targets"]["rel"]["other"]["mixed"] == {"rows": 50}


@pytest.mark.parametrize(
    ("break_it", "where"),
    [
        (lambda content: content.pop("ranked"), "ranked"),
        (lambda content: content["trials"][0].update(state="lost"), "state"),
        (lambda content: content["gain"].update(mean="high"), "mean"),
    ],
)
def test_the_schema_refuses_what_is_wrong(
    record: StudyRecord, break_it: Callable[[Any], object], where: str
) -> None:
    content = as_read(report_json(record))
    break_it(content)
    with pytest.raises(jsonschema.ValidationError, match=where):
        validate("report", content)


@pytest.mark.ray
def test_a_finished_study_holds_to_the_schema(finished: Any) -> None:
    record = finished.record
    validate("report", as_read(report_json(record)))
    validate("status", as_read(json_of(StudyStatus.of(record))))
