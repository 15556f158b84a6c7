"""What a retrain found, over its seeds."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from search.cli.views import show_verdict
from search.display.number_format import between
from search.display.verdict_sentences import MEANING
from search.record.reader import BASELINE, TWIN, WINNER
from search.stats.intervals import paired_difference
from search.trials.language_verdicts import by_language
from search.winner.verdict import RetrainedSeed, Verdict, judged_pairs
from search.winner.verdict_json import summary_json, verdict_json
from search.winner.verdict_text import card
from spaces.json_values import to_json
from spaces.study_file.sections import SelectionRule
from trainables.scoring import outcomes
from trainables.scoring.outcomes import of_values
from trainables.scoring.scores import Mark, Scores


def run(planted: Any, role: str, seed: int, level: float | None) -> RetrainedSeed:
    scores = None if level is None else planted.scores(level)
    return RetrainedSeed(
        role=role, seed=seed, plan=planted.plan("fact"), scores=scores, phase_keys=()
    )


def verdict_of(*runs: RetrainedSeed) -> Verdict:
    return Verdict(study="tiny", trial=2, runs=runs, models=())


def test_the_gain_is_paired_by_seed(planted: Any) -> None:
    verdict = verdict_of(
        run(planted, WINNER, 1, 0.6),
        run(planted, BASELINE, 1, 0.5),
        run(planted, WINNER, 2, 0.65),
        run(planted, BASELINE, 2, 0.5),
        run(planted, WINNER, 3, 0.9),
        run(planted, BASELINE, 3, None),
    )
    for task, means in (
        (None, [planted.scores(x).zero_shot_mean for x in (0.6, 0.65, 0.5)]),
        ("retrieval", [planted.scores(x).targets[2].zero_shot_mean for x in (0.6, 0.65, 0.5)]),
    ):
        gain = verdict.gain(task)
        assert gain is not None
        assert gain.is_paired
        assert gain.interval == paired_difference(means[:2], [means[2]] * 2)
    assert verdict_of(verdict.runs[0]).gain() is None
    assert verdict.num_diverged(BASELINE) == 1
    assert verdict.tasks == ["rel", "coh", "retrieval"]


def test_the_card_and_the_json(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, 0.6), run(planted, BASELINE, 1, 0.5))
    text = card(verdict, "rel")
    assert text.startswith("# tiny-rel\n")
    assert "| de | 70.0 | 70.0 | 60.0 |  |  |" in text
    assert summary_json(verdict)["zero_shot_mean"] == {"winner/1": 0.6, "baseline/1": 0.5}
    content = verdict_json(verdict)
    assert json.loads(json.dumps(content)) == content
    assert content["scores"]["rel"]["winner"]["de"] == pytest.approx(0.7)
    assert content["gain"]["mean"] == pytest.approx(0.1)
    assert content["gains"].keys() == {"rel", "coh", "retrieval"}


def test_a_verdict_says_which_test_rows_chose_the_trial(planted: Any) -> None:
    verdict = replace(verdict_of(run(planted, WINNER, 1, 0.6)), seen={"rel": ["de", "tr"]})
    sentence = "Selection used the test rows of rel (de tr)"
    assert sentence in card(verdict, "rel")
    assert sentence not in card(verdict, "coh")
    assert verdict_json(verdict)["seen_test_rows"] == {"rel": ["de", "tr"]}
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    assert sentence in told.getvalue()


def test_a_winner_without_a_baseline(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, 0.6))
    assert "| de | 70.0 | 70.0 |  |  |  |" in card(verdict, "rel")
    assert verdict.by_language(BASELINE, "rel") == {}
    assert verdict_json(verdict)["gain"] is None


def test_where_every_seed_diverged(planted: Any) -> None:
    verdict = verdict_of(run(planted, WINNER, 1, None))
    assert (verdict.chosen("rel"), verdict.gain()) == (None, None)
    found = verdict_json(verdict)
    assert found["scores"] == {}
    assert found["num_diverged"] == {"winner": 1}
    assert found["unregistered"][0] == (
        "No model of rel is registered, because no seed learned it: of 1 fresh seed of trial 2, 0 "
        "collapsed on it and 1 diverged."
    )


def test_verdicts_by_language_on_the_card_and_in_the_record(planted: Any, tmp_path: Path) -> None:
    """From the files of outcomes: German is better, of Turkish nothing can be said."""
    shares = {
        (WINNER, "de"): 0.9,
        (BASELINE, "de"): 0.4,
        (WINNER, "tr"): 0.5,
        (BASELINE, "tr"): 0.5,
    }
    runs = []
    for seed, level in ((1, 0.6), (2, 0.64)):
        for role in (WINNER, BASELINE):
            file = tmp_path / f"{role}-{seed}"
            draw = np.random.default_rng(seed)
            rows = {code: of_values(draw.random(100) < shares[role, code]) for code in ("de", "tr")}
            outcomes.write(file, outcomes.ByLanguage(rows))
            runs.append(replace(run(planted, role, seed, level), outcomes={"rel": str(file)}))
    pairs = judged_pairs([*runs, run(planted, WINNER, 3, 0.6)], lambda f: outcomes.read(Path(f)))
    assert len(pairs) == 2
    verdict = replace(verdict_of(*runs), languages=tuple(by_language(pairs)))
    called = verdict.called("rel")
    assert {code: cell.call.value for code, cell in called.items()} == {"de": "better", "tr": "tie"}
    assert called["de"].difference.num_seeds == 2
    text = card(verdict, "rel")
    assert (
        f"| de | 70.0 | 72.0 ± 2.8 | 72.0 ± 2.8 | {between(called['de'].difference)} | better |"
        in text
    )
    assert MEANING in text
    assert MEANING not in card(verdict, "coh")
    content = verdict_json(verdict)
    assert json.loads(json.dumps(content)) == content
    assert content["languages"] == [to_json(cell) for cell in called.values()]
    assert content["std"]["rel"]["winner"]["de"] == pytest.approx(0.0283, abs=1e-4)
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    assert MEANING in told.getvalue()
    assert between(called["de"].difference) in told.getvalue()


# ---- seeds that failed, and which one is registered


def marked(planted: Any, level: float, **marks: Mark) -> Scores:
    """Scores of which the targets named have these marks."""
    found = planted.scores(level)
    targets = (replace(t, mark=marks.get(t.task, Mark.NONE)) for t in found.targets)
    return replace(found, targets=tuple(targets))


def seeds_of(planted: Any, *given: tuple[int, Scores | None, Scores | None]) -> Verdict:
    """Winners by seed, test scores and validation scores."""
    one = run(planted, WINNER, 0, None)
    return verdict_of(
        *(replace(one, seed=seed, scores=test, validation=dev) for seed, test, dev in given)
    )


def test_validation_rows_choose_the_seed_and_test_rows_do_not(planted: Any) -> None:
    dev = [planted.scores(level) for level in (0.60, 0.64, 0.62)]
    verdict = seeds_of(
        planted,
        (1, planted.scores(0.66), dev[0]),
        (2, planted.scores(0.58), dev[1]),
        (3, planted.scores(0.70), dev[2]),
    )
    chosen = verdict.chosen("rel")
    assert chosen is not None
    assert chosen.seed == 2, "the best on validation rows, the worst on test rows"
    assert verdict.validation_of(chosen, "rel") == pytest.approx(0.64)
    assert summary_json(verdict)["chosen"]["rel"] == {
        "seed": 2,
        "validation": pytest.approx(0.64),
        "zero_shot_mean": pytest.approx(0.58),
    }
    text = card(verdict, "rel")
    assert (
        "trained with seed 2: the best on validation rows (64.0, selection target_dev), among"
        in text
    )
    assert "test rows is 58.0; the mean over 3 fresh seeds is 64.7 ± 6.1." in text
    assert "| de | 68.0 | 74.7 ± 6.1 |  |  |  |" in text


def test_the_rule_of_the_study_says_which_validation_rows_choose(planted: Any) -> None:
    """Seed 1 is the better one in the source language, seed 2 in the others."""
    languages = ({"en": 0.9, "de": 0.5, "tr": 0.4}, {"en": 0.7, "de": 0.6, "tr": 0.5})
    dev = [Scores(targets=(planted.target_scores("rel", found),)) for found in languages]
    verdict = seeds_of(planted, *((n, planted.scores(0.6), dev[n - 1]) for n in (1, 2)))
    for rule, pivots, seed in (
        (SelectionRule.TARGET_DEV, (), 2),
        (SelectionRule.SOURCE_DEV, (), 1),
        (SelectionRule.PIVOT_DEV, ("tr",), 2),
    ):
        found = replace(verdict, rule=rule, pivot_languages=pivots).chosen("rel")
        assert found is not None
        assert found.seed == seed
    # Retrieval has no rows in the source language: none may choose, and the first one is taken.
    dev = [Scores(targets=planted.scores(level).targets[2:]) for level in (0.3, 0.6)]
    strict = seeds_of(planted, *((n, planted.scores(0.6), dev[n - 1]) for n in (1, 2)))
    strict = replace(strict, rule=SelectionRule.SOURCE_DEV)
    found = strict.chosen("retrieval")
    assert found is not None
    assert (found.seed, strict.validation_of(found, "retrieval")) == (1, None)
    assert "the first, because selection source_dev lets no validation row" in card(
        strict, "retrieval"
    )


@pytest.mark.parametrize("where", ["test", "validation"])
def test_a_seed_that_collapsed_on_a_target_is_not_its_model(where: str, planted: Any) -> None:
    """Though it is the first one, and the best on validation rows. Of the other target it is."""
    sound, fallen = marked(planted, 0.9), marked(planted, 0.9, rel=Mark.COLLAPSED)
    given = (fallen, sound) if where == "test" else (sound, fallen)
    other = planted.scores(0.6)
    verdict = seeds_of(planted, (1, *given), (2, other, other), (3, None, None))
    found = [verdict.chosen(task) for task in ("rel", "coh")]
    assert [run and run.seed for run in found] == [2, 1]
    if where == "test":
        assert (
            "Failures of the winner: 1 of 3 seeds collapsed on rel; 1 of 3 seeds diverged"
            in card(verdict, "rel")
        )
        assert summary_json(verdict)["num_collapsed"]["winner"] == {
            "rel": 1,
            "coh": 0,
            "retrieval": 0,
        }
    assert "collapsed" not in card(verdict, "coh")


def test_a_target_that_no_seed_learned_has_no_model(planted: Any) -> None:
    fallen = marked(planted, 0.5, rel=Mark.COLLAPSED)
    verdict = seeds_of(planted, (1, fallen, fallen), (2, None, None))
    sentence = (
        "No model of rel is registered, because no seed learned it: of 2 fresh seeds of trial 2, "
        "1 collapsed on it and 1 diverged."
    )
    assert verdict.chosen("coh") is not None
    content = verdict_json(verdict)
    assert content["unregistered"] == [sentence]
    assert content["chosen"]["rel"] is None
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    assert sentence in told.getvalue()


def test_every_number_over_seeds_says_how_many_collapsed(planted: Any) -> None:
    """Winner .70, .71 and a collapsed .30, baseline .60, .61, .60: the mean has all three."""
    runs = [
        replace(run(planted, role, seed, None), scores=marked(planted, level, **marks))
        for role, levels in ((WINNER, (0.70, 0.71, 0.30)), (BASELINE, (0.60, 0.61, 0.60)))
        for seed, level in enumerate(levels)
        for marks in [{"rel": Mark.COLLAPSED} if level == 0.30 else {}]
    ]
    verdict = verdict_of(*runs)
    for task in (None, "rel"):
        gain = verdict.gain(task)
        assert gain is not None
        assert gain.interval.mean == pytest.approx(-0.1 / 3)
        assert (gain.collapsed_first, gain.collapsed_second) == (1, 0)
        assert gain.sound is not None
        assert gain.sound.mean == pytest.approx(0.1)
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    for text in (card(verdict, "rel"), told.getvalue()):
        assert "Failures of the winner: 1 of 3 seeds collapsed on rel." in text
        assert "zero-shot mean of rel, 3 seeds: −3.3 (95 % interval −60.7 to +54.0" in text
        assert "1 of 3 seeds collapsed, 0 of 3 beside it" in text
        assert "Without the seeds that collapsed, it is +10.0 points over 2 seeds." in text


def test_the_gain_over_the_twin_is_another_one(planted: Any) -> None:
    """The winner's own target phases alone are worse than the best baseline of the search."""
    levels = {WINNER: 0.60, BASELINE: 0.55, TWIN: 0.50}
    verdict = verdict_of(
        *(run(planted, role, s, level) for s in (1, 2) for role, level in levels.items())
    )
    gains = [verdict.gain(over=role) for role in (BASELINE, TWIN)]
    assert [gain and round(gain.interval.mean, 4) for gain in gains] == [0.05, 0.1]
    content = verdict_json(verdict)
    assert content["roles"] == ["winner", "baseline", "twin"]
    assert content["gain"]["mean"] == pytest.approx(0.05)
    assert content["gain_over_twin"]["mean"] == pytest.approx(0.1)
    assert content["gains_over_twin"]["rel"]["mean"] == pytest.approx(0.1)
    assert content["scores"]["rel"]["twin"]["de"] == pytest.approx(0.6)
    told = io.StringIO()
    show_verdict(verdict, Console(file=told, width=200))
    for text in (card(verdict, "rel"), told.getvalue()):
        assert "Gain over the baseline, zero-shot mean of rel, 2 seeds: +5.0" in text
        assert "without the intermediate phase), zero-shot mean of rel" in text
    assert judged_pairs(verdict.runs, lambda file: {})[0][1].scores == planted.scores(0.55)
