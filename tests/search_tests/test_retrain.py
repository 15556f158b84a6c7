"""retrain: fresh seeds on test rows, the baseline beside it, models that load again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from transformers import AutoModel, AutoTokenizer

from search.entries import retrain_labels
from search.home import Home
from search.record import StudyRecord, read_outcomes, read_study
from search.retrain import about_target, choose, fresh_seeds, retrain, roles
from search.selection import TrialState, ranked
from search.verdict import BASELINE, WINNER, Verdict
from search.views import verdict_json
from spaces.phases import Phase
from spaces.refusal import Refusal
from spaces.study import StudySettings
from trainables.export import load_predictor
from trainables.outcomes import score_of
from trainables.workers import Workers
from trainables.workshop import Workshop

ROWS = [
    {"text_a": "The capital of France is Paris.", "text_b": "It lies in Europe."},
    {"text_a": "Montag, Dienstag, Mittwoch", "text_b": "Donnerstag"},
    {"text_a": "enero febrero marzo", "text_b": "un euro y dos dólares"},
]


# ---- parts


def test_fresh_seeds(settings_of: Callable[..., StudySettings]) -> None:
    settings = settings_of(study={"seed": 5})
    seeds = fresh_seeds(settings, 20)
    assert len(set(seeds)) == 20
    assert 5 not in seeds
    assert fresh_seeds(settings, 3) == seeds[:3]
    assert fresh_seeds(settings_of(study={"seed": 6}), 3) != seeds[:3]
    grid = settings_of(study={"seed": 5, "sampler": "grid"}, space={"seeds": [1, seeds[0]]})
    assert fresh_seeds(grid, 3) == seeds[1:4], "the grid has trained with the first one"


def test_who_is_trained(planted: Any) -> None:
    plan = planted.plan("fact")
    assert roles(plan) == [(WINNER, plan), (BASELINE, plan.baseline())]
    assert roles(plan.baseline()) == [(WINNER, plan.baseline())], "it has nothing beside it"


# ---- on a local Ray


@dataclass(frozen=True, slots=True)
class Done:
    """A retrain of the best trial with an intermediate phase, and where it happened."""

    home: Home
    uri: str
    trial: int
    verdict: Verdict
    told: list[tuple[int, int]]

    def again(self, *, trial: int | None, num_seeds: int) -> Verdict:
        return retrain(
            "tiny",
            self.home,
            experiment="transfer-search",
            tracking_uri=self.uri,
            num_seeds=num_seeds,
            trial=trial,
            on_done=lambda done, of: None,
        )

    @property
    def record(self) -> StudyRecord:
        return read_study(tracking_uri=self.uri, experiment="transfer-search", study="tiny")

    def phases(self) -> dict[str, int]:
        found = (self.home.path / "phases").glob("*/record.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def done(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Done:
    home = Home.of(finished.copy(tmp_path_factory.mktemp("retrain") / "home"))
    # The databases name the folder that they were made in: MLflow's artifacts stay there.
    uri = f"sqlite:///{home.path / 'mlflow.db'}"
    row = next(row for row in ranked(finished.record.rows) if not row.plan.is_baseline)
    told: list[tuple[int, int]] = []
    verdict = retrain(
        "tiny",
        home,
        experiment="transfer-search",
        tracking_uri=uri,
        num_seeds=2,
        trial=row.number,
        on_done=lambda done, of: told.append((done, of)),
    )
    return Done(home, uri, row.number, verdict, told)


@pytest.mark.ray
def test_fresh_seeds_on_test_rows_with_the_baseline_beside(done: Done, finished: Any) -> None:
    verdict = done.verdict
    seeds = fresh_seeds(finished.settings, 2)
    assert [(run.role, run.seed) for run in verdict.runs] == [
        (role, seed) for seed in seeds for role in (WINNER, BASELINE)
    ]
    row = choose(done.record, done.trial)
    for run in verdict.runs:
        plan = row.plan if run.role == WINNER else row.plan.baseline()
        assert run.plan == plan.with_seed(run.seed)
        assert run.scores is not None
        assert {target.protocol.split for target in run.scores.targets} == {"test"}
    gain = verdict.gain()
    assert gain is not None
    assert gain.num == 2
    assert sorted(done.told) == [(number, 4) for number in range(1, 5)]
    assert [p.name for p in (done.home.path / "data").iterdir() if "-test-" in p.name]


@pytest.mark.ray
def test_the_record_has_the_retrain_and_the_study_stays_finished(done: Done) -> None:
    record = done.record
    assert record.state == "finished"
    name = f"trial-{done.trial}"
    mine = [row for row in record.retrains if row.name == name]
    assert {(row.role, row.seed) for row in mine} == {
        (run.role, run.seed) for run in done.verdict.runs
    }
    by_place = {(row.role, row.seed): row for row in mine}
    for run in done.verdict.runs:
        row = by_place[run.role, run.seed]
        assert row.state is TrialState.SCORED
        assert row.scores == run.scores
        assert row.phase_keys == run.phase_keys
    assert record.settings["tracking"]["mlflow"] is None, "the settings are the search's still"


@pytest.mark.ray
def test_a_verdict_for_every_language_from_the_rows_of_all_seeds(done: Done) -> None:
    verdict = done.verdict
    cells = {(v.task, v.language): v.difference for v in verdict.languages}
    assert set(cells) == {
        *(("rel", code) for code in ("en", "de", "es")),
        *(("retrieval", code) for code in ("de", "es")),
    }
    for (task, language), difference in cells.items():
        means = [verdict.by_language(role, task)[language] for role in (WINNER, BASELINE)]
        assert difference.mean == pytest.approx(means[0] - means[1])
        assert difference.num_seeds == 2
        assert difference.low <= difference.mean <= difference.high
    (summary,) = done.record.retrain_summaries
    assert summary["name"] == f"trial-{done.trial}"
    assert summary["languages"] == [cell.to_dict() for cell in verdict.languages]
    # The same rows are in MLflow, run by run.
    for run in verdict.runs:
        labels = retrain_labels(f"trial-{done.trial}", seed=run.seed, role=run.role)
        kept = read_outcomes(
            tracking_uri=done.uri, experiment="transfer-search", study="tiny", labels=labels
        )
        assert run.scores is not None
        for target in run.scores.targets:
            found = {code: score_of(rows) for code, rows in kept[target.task].items()}
            assert found == target.by_language


@pytest.fixture
def at_mlflow(done: Done, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What somebody who loads a model sets first."""
    # MLflow puts the address into the environment too, where our own commands would find it.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, done.uri)
    mlflow.set_tracking_uri(done.uri)
    mlflow.set_registry_uri(done.uri)
    yield
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.mark.ray
@pytest.mark.usefixtures("at_mlflow")
def test_the_registered_model_answers(done: Done, tmp_path: Path) -> None:
    assert [model.name for model in done.verdict.models] == ["tiny-rel", "tiny-retrieval"]
    loaded = mlflow.pyfunc.load_model("models:/tiny-rel@champion")
    folder = Path(
        mlflow.artifacts.download_artifacts("models:/tiny-rel@champion", dst_path=str(tmp_path))
    )
    predictor = load_predictor(folder)
    expected = predictor.predict(ROWS)
    assert loaded.predict(ROWS) == expected
    assert set(expected) <= {"follows", "wrong", "unrelated"}
    assert predictor.about.task == "rel"
    encoder, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    hidden = encoder(**tokenizer("uno dos", return_tensors="pt")).last_hidden_state
    assert hidden.shape[-1] == encoder.config.hidden_size
    card = (folder / "README.md").read_text()
    assert f"Trial {done.trial} of study `tiny`" in card


@pytest.mark.ray
@pytest.mark.usefixtures("at_mlflow")
def test_the_retrieval_model_is_an_encoder(done: Done, tmp_path: Path) -> None:
    folder = mlflow.artifacts.download_artifacts(
        "models:/tiny-retrieval@champion", dst_path=str(tmp_path)
    )
    with pytest.raises(Refusal, match="predicts nothing"):
        load_predictor(Path(folder)).predict(ROWS)
    AutoModel.from_pretrained(folder)


@pytest.mark.ray
@pytest.mark.slow
def test_once_more_trains_nothing(done: Done) -> None:
    before = done.phases()
    again = done.again(trial=done.trial, num_seeds=2)
    assert done.phases() == before
    assert again.runs == done.verdict.runs
    assert again.gain() == done.verdict.gain()
    assert [m.version for m in again.models] == [m.version for m in done.verdict.models]


@pytest.mark.ray
@pytest.mark.slow
def test_a_baseline_has_no_baseline_beside_it(done: Done) -> None:
    number = next(row.number for row in done.record.rows if row.plan.is_baseline)
    verdict = done.again(trial=number, num_seeds=1)
    assert [run.role for run in verdict.runs] == [WINNER]
    assert verdict.gain() is None
    (run,) = verdict.runs
    assert run.plan.is_baseline
    assert verdict_json(verdict)["scores"]["rel"][BASELINE] == {}
    assert {row.name for row in done.record.retrains} >= {f"trial-{number}", f"trial-{done.trial}"}


@pytest.mark.ray
def test_unknown_names_are_refused(done: Done, finished: Any) -> None:
    before = done.phases()
    with pytest.raises(Refusal, match=r"unknown scored trial of study 'tiny' '99'.*Known: "):
        done.again(trial=99, num_seeds=1)
    duplicates = [r for r in finished.record.rows if r.state is TrialState.DUPLICATE]
    for row in duplicates[:1]:
        with pytest.raises(Refusal, match="unknown scored trial"):
            done.again(trial=row.number, num_seeds=1)
    with pytest.raises(Refusal, match="Did you mean 'tiny'"):
        retrain(
            "tinny",
            done.home,
            experiment="transfer-search",
            tracking_uri=done.uri,
            num_seeds=1,
            trial=None,
            on_done=lambda done, of: None,
        )
    assert done.phases() == before


@pytest.mark.ray
def test_a_retrieval_model_comes_from_the_intermediate_phase(finished: Any) -> None:
    """Also where a target phase is the same phase again, from another parent."""
    settings = finished.settings
    shop = Workshop.open(
        settings,
        home=finished.home,
        encoder=settings.study.encoder,
        workers=Workers.alone(),
    )
    row = next(row for row in ranked(finished.record.rows) if not row.plan.is_baseline)
    keys = [key for key, _, _ in shop.world.stages(row.plan)]
    assert about_target(row.plan, "retrieval", shop).phase_key == keys[0]
    assert about_target(row.plan, "rel", shop).phase_key == keys[1]
    assert about_target(row.plan.baseline(), "retrieval", shop).phase_key is None
    assert isinstance(row.plan.intermediate, Phase)
