"""Studies that a sampler starts from: what it sees of them, what stays out, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.sampling.study import OptunaStudy
from search.sampling.warm_start import check_earlier
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
RATES = {"low": 1e-5, "high": 1e-1}
EARLIER = {"study": {"seed": 1}, "space": {"target_learning_rate": RATES}}


@pytest.fixture
def later_of(settings_of: Settings) -> Settings:
    """A study that starts from `tiny`; sections as `settings_of` has them."""

    def make(**sections: dict[str, Any]) -> StudySettings:
        study = {"name": "later", "sampler": "tpe", "warm_start": ["tiny"]}
        space = {"target_learning_rate": RATES}
        return settings_of(
            **{
                **sections,
                "study": {**study, **sections.get("study", {})},
                "space": {**space, **sections.get("space", {})},
            }
        )

    return make


@pytest.fixture(scope="module")
def database(
    settings_of: Settings, empty_optuna: bytes, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """Of `tiny`, with trials of every end: rates above 1e-3 are best by far, and `coh` helps."""
    path = tmp_path_factory.mktemp("earlier") / "optuna.db"
    path.write_bytes(empty_optuna)
    settings = settings_of(**EARLIER)
    study = OptunaStudy.open(f"sqlite:///{path}", settings)
    for number in range(24):
        asked = study.ask()
        if number == 4:
            study.tell_failed(asked, "it diverged")
        elif number > 5:  # one is left running
            study.tell_scored(asked, worth(asked.params))
    return path.read_bytes()


@pytest.fixture
def earlier(settings_of: Settings, database: bytes, optuna_url: str, tmp_path: Path) -> OptunaStudy:
    (tmp_path / "optuna.db").write_bytes(database)
    return OptunaStudy.open(optuna_url, settings_of(**EARLIER))


def worth(params: Any) -> float:
    near = params["target.learning_rate"] > 1e-3
    return 0.3 + 0.4 * near + 0.1 * (params["intermediate"] == "coh")


def draw(study: OptunaStudy, count: int) -> list[dict[str, Any]]:
    drawn = []
    for _ in range(count):
        asked = study.ask()
        drawn.append(dict(asked.params))
        study.tell_scored(asked, worth(asked.params))
    return drawn


@pytest.mark.usefixtures("earlier")
def test_the_first_draw_of_its_own_has_learned(later_of: Settings, optuna_url: str) -> None:
    study = OptunaStudy.open(optuna_url, later_of())
    num_baselines = len(later_of().search_space().first_points())
    drawn = draw(study, num_baselines + 5)
    assert all(params["intermediate"] == "none" for params in drawn[:num_baselines])
    own = drawn[num_baselines:]
    for seed in (1, 2, 3):  # what one search draws first is chance
        other = later_of(study={"seed": seed, "name": f"later-{seed}"})
        own += draw(OptunaStudy.open(optuna_url, other), num_baselines + 5)[num_baselines:]
    assert sum(params["target.learning_rate"] > 1e-3 for params in own) >= 16, "half, at random"
    assert study.history.num_counted == len(drawn), "the earlier ones do not count"
    assert len(study.history.results) == len(drawn), "nor are their plans known"
    stored = optuna.load_study(study_name="later", storage=optuna_url)
    assert [trial.number for trial in stored.trials] == list(range(len(drawn)))
    assert stored.best_value == max(worth(params) for params in drawn)


def test_draws_depend_neither_on_restarts_nor_on_what_the_earlier_study_does_next(
    earlier: OptunaStudy, later_of: Settings, optuna_url: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "optuna.db").read_bytes())
    straight = draw(OptunaStudy.open(f"sqlite:///{copy}", later_of()), 6)
    study, drawn = OptunaStudy.open(optuna_url, later_of()), []
    for _ in range(6):
        drawn += draw(study, 1)
        draw(earlier, 1)
        study = OptunaStudy.open(optuna_url, later_of())
    assert drawn == straight
    cold = later_of(study={"warm_start": [], "name": "cold"})
    assert draw(OptunaStudy.open(optuna_url, cold), 6)[3:] != straight[3:]


@pytest.mark.usefixtures("earlier")
@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"study": {"warm_start": ["tinny"]}}, "unknown study in warm_start 'tinny'. Did you mean"),
        ({"space": {"targets": ["rel"]}}, "space.targets is ['rel', 'retrieval'] in study 'tiny'"),
        ({"evaluation": {"languages": ["de"]}}, "evaluation.languages is"),
        ({"evaluation": {"selection": "source_dev"}}, "evaluation.selection is"),
        ({"evaluation": {"max_drop": 0.01}}, "evaluation.max_drop is None in study 'tiny' but"),
        (
            {"evaluation": {"objectives": ["zero_shot_mean", "hours"]}},
            "evaluation.objectives is None in study 'tiny' but ['zero_shot_mean', 'hours']",
        ),
        (
            {"space": {"target_learning_rate": {"low": 1e-6, "high": 1e-1}}},
            "the space of study 'tiny' differs: target.learning_rate is",
        ),
        ({"space": {"intermediate": ["none", "fact"]}}, "the space of study 'tiny' differs"),
        ({"space": {"intermediate_learning_rate": RATES}}, "the space of study 'tiny' differs"),
    ],
    ids=str,
)
def test_what_does_not_compare_is_refused(
    sections: dict[str, Any], message: str, later_of: Settings, optuna_url: str
) -> None:
    with pytest.raises(Refusal) as refused:
        check_earlier(optuna_url, later_of(**sections))
    assert message in str(refused.value)
    with pytest.raises(Refusal):
        OptunaStudy.open(optuna_url, later_of(**sections))
    assert optuna.get_all_study_names(optuna_url) == ["tiny"], "nothing is written"


def test_a_mark_of_before_there_were_rungs_of_few_rows_compares(
    earlier: OptunaStudy, later_of: Settings, optuna_url: str
) -> None:
    """How many rows a rung is told by decides no score of a trial that was scored to its end."""
    stored = optuna.load_study(study_name="tiny", storage=optuna_url)
    assert "evaluation.probe_rows" not in stored.user_attrs["scored_by"]
    check_earlier(optuna_url, later_of(evaluation={"probe_rows": 8}))


def test_a_study_without_a_score_is_refused(
    settings_of: Settings, later_of: Settings, optuna_url: str
) -> None:
    OptunaStudy.open(optuna_url, settings_of(**EARLIER)).ask()
    with pytest.raises(Refusal, match="study 'tiny' has no scored trial to learn from"):
        check_earlier(optuna_url, later_of())
    stored = optuna.load_study(study_name="tiny", storage=optuna_url)
    stored._storage.delete_study(stored._study_id)
    optuna.create_study(study_name="tiny", storage=optuna_url)
    with pytest.raises(Refusal, match="did not store its evaluation settings; run it once more"):
        check_earlier(optuna_url, later_of())


def test_a_database_that_is_not_there_is_not_made(later_of: Settings, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(Refusal, match="no study 'tiny' and no other study"):
        check_earlier(f"sqlite:///{path}", later_of())
    assert not path.exists()
