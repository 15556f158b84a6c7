"""retrain: fresh seeds on test rows, the baseline beside it, models that load again."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from transformers import AutoModel, AutoTokenizer

from search.display.json_form import json_of
from search.display.number_format import percent, points
from search.home import Home
from search.record.address import ExperimentAddress
from search.record.entries import retrain_labels
from search.record.mlflow_client import Tracker, connect
from search.record.reader import BASELINE, TWIN, WINNER, StudyRecord, read_outcomes, read_study
from search.record.registry import Registry
from search.report.forms import report_json
from search.trials.ranking import TrialRow, TrialState, best_baseline, ranked
from search.winner.champion import Claim
from search.winner.register import about_target
from search.winner.retrain import RetrainRequest, _without_baseline, fresh_seeds, retrain, roles
from search.winner.verdict import Verdict
from search.winner.verdict_json import verdict_json
from spaces.phases import Phase, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables.exporting.predictor import load_predictor
from trainables.scoring.outcomes import score_of
from trainables.training.context import TrialContext
from trainables.training.key_facts import TRAINING_VERSION
from trainables.training.workers import Workers

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
    plan, tuned = planted.plan("fact"), planted.plan(None, target_rate=2e-4)
    twin = plan.baseline()
    assert roles(plan, tuned) == {WINNER: plan, BASELINE: tuned, TWIN: twin}
    assert roles(plan, twin.with_seed(9)) == {WINNER: plan, BASELINE: twin}, "but for its seed"
    assert roles(plan, None) == {WINNER: plan, BASELINE: twin}, "the search has none"
    assert roles(twin, tuned) == {WINNER: twin}, "it has nothing beside it"


def test_a_caution_says_that_the_search_has_no_baseline(
    planted: Any,
) -> None:
    row = planted.scored(3, 0.61, "fact")
    (caution,) = _without_baseline(row, None)
    assert caution.startswith("the search has no scored baseline; the trial's target phases")
    assert _without_baseline(row, planted.scored(1, 0.5, None)) == ()
    assert _without_baseline(planted.scored(1, 0.5, None), None) == ()


# ---- on a local Ray


@dataclass(frozen=True, slots=True)
class Done:
    """A retrain of the best trial with an intermediate phase, and where it happened."""

    home: Home
    uri: str
    trial: int
    verdict: Verdict
    told: list[tuple[int, int]]

    def again(self, study: str = "tiny", **wishes: Any) -> Verdict:
        return retrain(
            ExperimentAddress(self.uri).for_study(study),
            self.home,
            RetrainRequest(**wishes),
            on_done=lambda done, of: None,
        )

    @property
    def record(self) -> StudyRecord:
        return read_study(ExperimentAddress(self.uri).for_study("tiny"))

    @property
    def row(self) -> TrialRow:
        return next(row for row in self.record.rows if row.number == self.trial)

    def phases(self) -> dict[str, int]:
        found = (self.home.path / "phases").glob("*/record.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def done(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Done:
    home = Home.of(finished.copy(tmp_path_factory.mktemp("retrain") / "home"))
    # The databases name the folder that they were made in: MLflow's artifacts stay there.
    uri = f"sqlite:///{home.path / 'mlflow.db'}"
    row = next(row for row in ranked(finished.record.rows) if not row.plan.is_baseline)
    # With another target rate than the best baseline has, where there is one: then it has a twin.
    tuned = best_baseline(finished.record.rows).plan
    others = [r for r in ranked(finished.record.rows) if not r.plan.is_baseline]
    row = next((r for r in others if r.plan.baseline() != tuned), row)
    told: list[tuple[int, int]] = []
    verdict = retrain(
        ExperimentAddress(uri).for_study("tiny"),
        home,
        RetrainRequest(num_seeds=2, trial=row.number),
        on_done=lambda done, of: told.append((done, of)),
    )
    return Done(home, uri, row.number, verdict, told)


@pytest.mark.ray
def test_fresh_seeds_on_test_rows_with_the_baseline_beside_it(done: Done, finished: Any) -> None:
    verdict = done.verdict
    seeds = fresh_seeds(finished.settings, 2)
    row = done.row
    by_role = roles(row.plan, best_baseline(done.record.rows).plan)  # type: ignore[union-attr]
    assert list(by_role) == [WINNER, BASELINE, TWIN]
    assert [(run.role, run.seed) for run in verdict.runs] == [
        (role, seed) for seed in seeds for role in by_role
    ]
    for run in verdict.runs:
        assert run.plan == by_role[run.role].with_seed(run.seed)
        assert run.scores is not None
        assert {target.protocol.split for target in run.scores.targets} == {"test"}
        if run.role == WINNER:
            assert run.validation is not None
            assert {t.protocol.split for t in run.validation.targets} == {"validation"}
        else:
            assert run.validation is None, "nothing is chosen by it"
    for role in (TWIN, BASELINE):
        gain = verdict.gain(over=role)
        assert gain is not None
        assert (gain.num_first, gain.num_second, gain.is_paired) == (2, 2, True)
    assert verdict.curse is not None
    beside = best_baseline(done.record.rows)
    assert beside is not None
    searched = row.scores.zero_shot_mean - beside.scores.zero_shot_mean
    assert verdict.curse.searched == pytest.approx(searched)
    assert verdict.curse.retrained == pytest.approx(gain.interval.mean)
    assert verdict.cautions == ()
    assert [decision.reason for decision in verdict.decisions] == [
        "there was no champion before"
    ] * 2
    assert sorted(done.told) == [(number, 6) for number in range(1, 7)]
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
        assert row.validation == run.validation
        assert row.phase_keys == run.phase_keys
        assert row.lock == done.verdict.lock
    settings = record.settings.whole()
    assert settings.tracking.mlflow is None, "the settings are the search's still"


@pytest.mark.ray
def test_report_verdict_summary_and_card_say_the_same(done: Done) -> None:
    verdict, name = done.verdict, f"trial-{done.trial}"
    found = report_json(done.record)
    (reported,) = [one for one in found["retrains"] if one["name"] == name]
    (summary,) = [one for one in done.record.retrain_summaries if one["name"] == name]
    for over, key in ((BASELINE, "gain"), (TWIN, "gain_over_twin")):
        gain = verdict.gain(over=over)
        assert gain is not None
        assert reported[key] == summary[key] == json_of(gain) == verdict_json(verdict)[key]
    assert reported["languages"] == summary["languages"] == verdict_json(verdict)["languages"]
    registry = Registry.open(done.uri)
    for task in verdict.tasks:
        own, version = verdict.gain(task), registry.champion(f"tiny-{task}")
        assert own is not None
        assert version is not None
        assert summary["gains"][task] == json_of(own)
        with registry.files(version) as folder:
            card = (folder / "README.md").read_text()
        assert f"zero-shot mean of {task}, 2 seeds: {points(own.interval.mean)}" in card
        chosen = summary["chosen"][task]
        assert f"seed {chosen['seed']}" in card
        assert percent(chosen["zero_shot_mean"]) in card
        assert float(version.tags["zero_shot_mean"]) == chosen["zero_shot_mean"]


@pytest.mark.ray
def test_what_it_was_made_of_is_locked(done: Done, finished: Any) -> None:
    client = connect(done.uri)
    tracker = Tracker(client, ExperimentAddress(done.uri))
    (run,) = tracker.find("tiny", role="retrain", retrain=f"trial-{done.trial}")
    lock, row = tracker.read_json(run, "lock.json"), done.row
    plans = {role: TrialPlan.from_dict(plan, SHIPPED) for role, plan in lock["plans"].items()}
    assert plans == roles(row.plan, best_baseline(done.record.rows).plan)  # type: ignore[union-attr]
    assert lock["digest"] == done.verdict.lock
    scores = done.verdict.runs[0].scores
    assert scores is not None
    assert lock["scored"] == {t.task: t.protocol.digest for t in scores.targets}
    assert lock["seeds"] == fresh_seeds(finished.settings, 2)
    assert lock["world"] == done.record.world
    assert run.status == "FINISHED"
    summary = tracker.read_json(run, "summary.json")
    assert [each["name"] for each in summary["champions"]] == ["tiny-rel", "tiny-retrieval"]
    assert summary["lock"] == lock["digest"]
    assert (summary["seeds"], summary["roles"]) == (lock["seeds"], [WINNER, BASELINE, TWIN])


@pytest.mark.ray
def test_a_version_is_the_seed_that_is_best_on_validation_rows(done: Done) -> None:
    registry = Registry.open(done.uri)
    for task in done.verdict.tasks:
        runs = done.verdict.of_role(WINNER)
        by_seed = {run.seed: done.verdict.validation_of(run, task) for run in runs}
        version = registry.champion(f"tiny-{task}")
        assert version is not None
        chosen = int(version.tags["seed"])
        assert by_seed[chosen] == max(value for value in by_seed.values() if value is not None)
        claim = Claim.from_tags(version.tags)
        assert claim is not None
        (own,) = (run.of(task) for run in runs if run.seed == chosen)
        assert own is not None
        assert (claim.model_mean, len(claim.means)) == (own.zero_shot_mean, 2)
        assert version.tags["collapsed"] == "0 of 2 seeds"
        # The rows are those of its score, so that the next version is compared with them.
        kept = claim.with_rows(registry.outcomes(version), list(own.zero_shot))
        assert kept.rows is not None


@pytest.mark.ray
def test_what_is_refused_before_anything_is_trained(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, client = done.phases(), connect(done.uri)
    asked = {"trial": done.trial, "num_seeds": 2}
    with pytest.raises(Refusal, match="Did you mean 'rel'"):
        done.again(**asked, target="rell")
    with monkeypatch.context() as changed:
        changed.setattr("search.provenance.TRAINING_VERSION", 99)
        with pytest.raises(
            Refusal, match=r"training_version was \d+ and is now 99; .*retrain with --force"
        ):
            done.again(**asked)
    client.set_registered_model_tag("tiny-retrieval", "transfer_search.study", "their")
    try:
        with pytest.raises(
            Refusal, match="already has a model 'tiny-retrieval', which belongs to study 'their'"
        ):
            done.again(**asked)
    finally:
        client.set_registered_model_tag("tiny-retrieval", "transfer_search.study", "tiny")
    assert done.phases() == before
    assert [version.version for version in client.search_model_versions()] == [1, 1]


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
    assert summary["languages"] == [json_of(cell) for cell in verdict.languages]
    # The same rows are in MLflow, run by run.
    for run in verdict.runs:
        labels = retrain_labels(f"trial-{done.trial}", seed=run.seed, role=run.role)
        kept = read_outcomes(ExperimentAddress(done.uri).for_study("tiny"), labels=labels)
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
    assert f"trial {done.trial} of study `tiny`" in card
    assert card.startswith("---\nlanguage:")
    for part in ("## Intended use", "| rel | Unicode-3.0 (CLDR) |", "transfer-search predict"):
        assert part in card


@pytest.mark.ray
@pytest.mark.usefixtures("at_mlflow")
def test_the_retrieval_model_is_an_encoder(done: Done, tmp_path: Path) -> None:
    folder = mlflow.artifacts.download_artifacts(
        "models:/tiny-retrieval@champion", dst_path=str(tmp_path)
    )
    (vector,) = load_predictor(Path(folder)).predict([{"text": "uno"}])
    assert len(vector) == AutoModel.from_pretrained(folder).config.hidden_size


@pytest.mark.ray
@pytest.mark.slow
def test_once_more_trains_nothing(done: Done) -> None:
    before = done.phases()
    again = done.again(trial=done.trial, num_seeds=2)
    assert done.phases() == before
    assert again.runs == done.verdict.runs
    assert again.gain() == done.verdict.gain()
    assert [m.version for m in again.models] == [m.version for m in done.verdict.models]
    assert [decision.reason for decision in again.decisions] == ["it was the champion already"] * 2


@pytest.mark.ray
@pytest.mark.slow
def test_for_one_target_what_serves_it_alone_is_trained(done: Done) -> None:
    verdict = done.again(trial=done.trial, num_seeds=1, target="retrieval")
    assert verdict.tasks == ["retrieval"]
    assert [model.name for model in verdict.models] == ["tiny-retrieval"]
    # It trains nothing of its own, so that every baseline is the encoder as it is.
    assert {run.role for run in verdict.runs} == {WINNER, BASELINE}
    assert all(len(run.phase_keys) <= 1 for run in verdict.runs)


def number_of_versions(done: Done, model: str) -> int:
    return len(connect(done.uri).search_model_versions(f"name = '{model}'"))


@pytest.mark.ray
@pytest.mark.slow
def test_interrupted_it_goes_on_from_there_and_forced_it_says_so(
    done: Done, command: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = command("retrain", "tiny", "--trial", done.trial, "--seeds", 3, "--home", done.home.path)
    before = done.phases()
    registered = [number_of_versions(done, f"tiny-{task}") for task in ("rel", "retrieval")]
    process = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As in a terminal: what a shell starts in the background does not hear of it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "[1/9] trained\n"
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert stderr.endswith("interrupted; run the same command again to continue\n")
    cut = done.phases()
    assert cut.items() >= before.items()
    # Only the lock's version differs here: the phases are under the keys of before.
    monkeypatch.setattr("search.provenance.TRAINING_VERSION", 99)
    again = done.again(trial=done.trial, num_seeds=3, is_forced=True)
    assert len(again.scores_of(WINNER)) == len(again.scores_of(BASELINE)) == 3
    assert done.phases().items() >= cut.items(), "what was there is not trained again"
    assert len(done.phases()) > len(before)
    told = f"retrained with --force: training_version was {TRAINING_VERSION} and is now 99"
    assert again.cautions == (told,)
    newest = [number_of_versions(done, model.name) for model in again.models]
    assert newest == [number + 1 for number in registered], "the card is another one"
    assert [int(model.version) for model in again.models] == newest
    reason = again.decisions[0].reason
    assert "the best so far (" in reason
    assert "row by row (60 rows in each language)" in reason
    version = Registry.open(done.uri).find(again.models[0].uri)
    card = Path(version.location.removeprefix("file://"), "README.md").read_text()
    assert again.cautions[0] in card
    assert f"trained with seed {version.tags['seed']}: the best on validation rows" in card


@pytest.mark.ray
@pytest.mark.slow
def test_a_baseline_has_no_baseline_without_baseline_it(done: Done) -> None:
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
        done.again("tinny", num_seeds=1)
    assert done.phases() == before


@pytest.mark.ray
def test_a_retrieval_model_comes_from_the_intermediate_phase(finished: Any) -> None:
    """Also where a target phase is the same phase again, from another parent."""
    settings = finished.settings
    context = TrialContext.open(
        settings,
        home=finished.home,
        encoder=settings.study.encoder,
        workers=Workers.alone(),
    )
    row = next(row for row in ranked(finished.record.rows) if not row.plan.is_baseline)
    keys = [key for key, _, _ in context.key_facts.stages(row.plan)]
    assert about_target(row.plan, "retrieval", context).phase_key == keys[0]
    assert about_target(row.plan, "rel", context).phase_key == keys[1]
    assert about_target(row.plan.baseline(), "retrieval", context).phase_key is None
    assert isinstance(row.plan.intermediate, Phase)
