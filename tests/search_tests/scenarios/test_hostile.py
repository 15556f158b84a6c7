"""Names that a user, a study file or a data set brings in, made to break out of where they are put:
paths, MLflow's and Optuna's queries, terminals. Shell: test_submit.py; YAML: test_manifests.py;
HTML: test_report.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.addresses import secret_key
from search.record.address import ExperimentAddress
from search.record.reader import list_studies, read_study
from search.record.writer import RecordWriter
from search.sampling.study import OptunaStudy
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.rows.hub import raw_rows

HOSTILE = (
    "../../outside",
    "/etc/passwd",
    "a/../../b",
    "a\nb: c",
    "a\x00b",
    "'; DROP TABLE runs; --",
    "a` = 'b' OR tags.`x",
    "$(touch pwned)",
    "`touch pwned`",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "\x1b]0;title\x07\x1b[31m",
    "a" * 300,
)
Change = Callable[..., StudySettings]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("study", "name"),
        ("space", "targets"),
        ("space", "intermediate"),
        ("evaluation", "languages"),
        ("study", "sampler"),
    ],
)
def test_names_in_a_study_file(section: str, key: str, value: str, settings_of: Change) -> None:
    """Names are names that are known, or letters, digits, `._-`: refused in one line."""
    given: Any = value if section == "study" else [value]
    with pytest.raises(Refusal) as caught:
        settings_of(**{section: {key: given}})
    line = str(caught.value)
    assert line.isprintable(), "what is refused is quoted, not printed as it is"
    assert len(line) < 1000


@pytest.mark.parametrize("value", HOSTILE)
def test_a_data_set_s_names_stay_below_the_data_root(value: str, tmp_path: Path) -> None:
    (root := tmp_path / "root").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    before = sorted(tmp_path.rglob("*"))
    for dataset, config, split in (
        (value, None, "train"),
        ("owner/name", value, "train"),
        ("owner/name", None, value),
    ):
        with pytest.raises(Refusal) as caught:
            raw_rows(dataset, config, split, revision=None, data_root=str(root))
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("value", [name for name in HOSTILE if "\x00" not in name])
def test_an_experiment_s_name_is_a_name(value: str, uri: str, tmp_path: Path) -> None:
    """It is taken as it stands: others are as before, and artifacts lie where artifacts lie."""

    def write(experiment: str, study: str) -> bool:
        record = RecordWriter(
            ExperimentAddress(uri, experiment).for_study(study), outbox=tmp_path / study
        )
        record.study_started(settings={"evaluation": {}}, digest="d", versions={})
        return record.outbox.deliver_all()

    assert write("transfer-search", "first")
    assert write(value, "second")
    found = list_studies(ExperimentAddress(uri))
    assert [study.name for study in found] == ["first"]
    read = read_study(ExperimentAddress(uri, value).for_study("second"))
    assert read.settings.content == {"evaluation": {}}
    folders = list(tmp_path.rglob("settings.json"))
    assert len(folders) == 2
    assert all(path.is_relative_to(tmp_path / "artifacts") for path in folders)
    assert not list(tmp_path.parent.glob("outside*"))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_study_s_name_asks_for_nothing_else(value: str, uri: str) -> None:
    """Readers take any name from the command line: it is unknown, or cannot be one."""
    for read in (
        lambda: read_study(ExperimentAddress(uri).for_study(value)),
        lambda: read_study(ExperimentAddress(uri, value).for_study("tiny")),
    ):
        with pytest.raises(Refusal) as caught:
            read()
        assert "\n" not in str(caught.value)


def test_marks_in_optuna_are_values(settings_of: Change, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, settings_of())
    for value in HOSTILE:
        study.write_mark("driver", {"host": value})
        mark = study.read_mark("driver")
        assert mark is not None
        assert json.loads(json.dumps(mark)) == {"host": value}


def test_an_address_with_a_password_is_known(settings_of: Change) -> None:
    for url, is_secret in (
        ("postgresql://me:secret@db/optuna", True),
        ("postgresql://me@db/optuna?PASSWORD=secret", True),
        ("postgresql://me@db/optuna", False),
    ):
        assert secret_key(settings_of(tracking={"optuna": url})) == (
            "optuna" if is_secret else None
        )
