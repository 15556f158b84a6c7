from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.features.features import Data
from trainables.features.prepare import prepare, wanted_by
from trainables.rows.rows import Rows


def study(**tables: Any) -> StudySettings:
    content: dict[str, Any] = {
        "study": {"name": "small", "encoder": "e", "seed": 0},
        "space": {
            "intermediate": ["none", "csqa", "fact"],
            "intermediate_learning_rate": [1e-3],
            "target_learning_rate": [1e-3],
            "targets": ["xquad", "tatoeba", "coh"],
        },
        "training": {
            "intermediate": {
                "num_steps": 1,
                "batch_size": 4,
                "max_length": 32,
                "max_train_rows": 30,
                "evaluate_every": 1,
                "max_dev_rows": 9,
            },
            "target": {"num_steps": 1, "batch_size": 4, "max_length": 48, "max_train_rows": 20},
        },
        "evaluation": {"max_rows": 8, "languages": ["de", "ru", "tr"], "retrieval_max_length": 24},
        "budget": {"num_trials": 1},
    }
    return StudySettings.parse({**content, **tables})


def ignore(done: int, of: int) -> None:
    pass


def test_what_a_study_reads() -> None:
    wanted = wanted_by(study())
    result = {(w.task.name, w.language, w.split): (w.max_rows, w.max_length) for w in wanted}
    assert len(result) == len(wanted)
    assert result["csqa", "en", "train"] == (30, 32)
    assert result["csqa", "en", "validation"] == (9, 32)
    assert result["squad", "en", "train"] == (20, 48)
    assert result["xquad", "de", "validation"] == (8, 48)
    assert result["xquad", "en", "validation"] == (8, 48)
    assert result["tatoeba", "tr", "validation"] == (8, 24)
    assert ("squad", "en", "validation") not in result
    assert ("xquad", "en", "train") not in result


@pytest.mark.parametrize("num_processes", [1, 2])
def test_rows_are_tokenised_once_and_in_parallel(
    mirror: Path, tmp_path: Path, base, num_processes: int
) -> None:
    data, reported = Data(tmp_path / "data", base, Rows(str(mirror))), []
    settings = study()

    result = prepare(
        settings, data, num_processes=num_processes, on_done=lambda *at: reported.append(at)
    )
    hub = [w for w in wanted_by(settings) if w.task.dataset != "pocket"]
    assert [prepared.wanted for prepared in result] == hub
    assert reported == [(done, len(hub)) for done in range(1, len(hub) + 1)]
    num_rows = {(p.wanted.task.name, p.wanted.language, p.wanted.split): p.num_rows for p in result}
    assert num_rows["csqa", "en", "train"] == 30
    assert num_rows["xquad", "de", "validation"] == 8
    assert num_rows["xquad", "tr", "validation"] == 0  # no such language in the mirror
    assert any(prepared.num_truncated for prepared in result)
    written = {path: path.stat().st_mtime_ns for path in data.folder.iterdir()}
    assert len(written) == sum(prepared.num_rows > 0 for prepared in result)
    assert prepare(settings, data, num_processes=1, on_done=ignore) == result
    assert {path: path.stat().st_mtime_ns for path in data.folder.iterdir()} == written


def test_a_bad_row_stops_it(changed_root, tmp_path: Path, base) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["answerKey"] = "Z"

    root = changed_root("tau/commonsense_qa", "data/train", change)
    space = {**study().space.model_dump(mode="json"), "targets": ["coh"]}
    data = Data(tmp_path / "data", base, Rows(str(root)))
    with pytest.raises(Refusal, match=r"task 'csqa', row '\w+': label 'Z'"):
        prepare(study(space=space), data, num_processes=1, on_done=ignore)


def test_rows_to_train_on_must_be_there(mirror: Path, tmp_path: Path, base) -> None:
    space = {**study().space.model_dump(mode="json"), "intermediate": ["pawsx@de"]}
    data = Data(tmp_path / "data", base, Rows(str(mirror)))
    with pytest.raises(Refusal, match=r"PAWS-X.de.* has no split 'train'"):
        prepare(study(space=space), data, num_processes=1, on_done=ignore)


def test_a_study_of_the_embedded_benchmark_has_nothing_to_read(tmp_path: Path, base) -> None:
    space = {**study().space.model_dump(mode="json"), "targets": ["coh"], "intermediate": ["fact"]}
    settings = study(space=space)
    data = Data(tmp_path / "data", base)
    assert prepare(settings, data, num_processes=2, on_done=ignore) == []
    assert not data.folder.exists()
