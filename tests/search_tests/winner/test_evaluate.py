"""evaluate: a trained trial as it stands; and a submission that an independent scorer reads."""

import io
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from search.cli.views import show_evaluation
from search.home import Home
from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter
from search.trials.ranking import TrialRow, TrialState, ranked
from search.winner.evaluate import Evaluation, evaluate_trial
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.scoring.scores import TargetScores
from trainables.training.context import TrialContext
from trainables.training.trial import run_trial
from trainables.training.workers import Workers

EXPERIMENT = "transfer-search"


# ---- the finished study


def evaluated(finished: Any, home: Path | None = None, **names: Any) -> Evaluation:
    return evaluate_trial(
        ExperimentAddress(finished.uri, EXPERIMENT).for_study(names.pop("study", "tiny")),
        Home.of(home or finished.home),
        **names,
    )


@pytest.mark.ray
def test_on_validation_rows_the_scores_are_the_searchs(finished: Any) -> None:
    """To the last digit: the same phases, rows and protocol."""
    database = (finished.home / "mlflow.db").read_bytes()
    row = next(row for row in ranked(finished.record.rows) if not row.plan.is_baseline)
    found = evaluated(finished, split="validation", trial=row.number)
    assert found.scores == row.scores
    assert (found.trial, found.split, found.seen) == (row.number, "validation", {})
    assert (finished.home / "mlflow.db").read_bytes() == database


@pytest.mark.ray
def test_the_best_trial_on_test_rows(finished: Any, tmp_path: Path) -> None:
    found = evaluated(finished, finished.copy(tmp_path / "home"))
    assert found.trial == ranked(finished.record.rows)[0].number
    assert {target.protocol.split for target in found.scores.targets} == {"test"}
    rel = found.scores.targets[0]
    assert set(rel.languages) == {"en", "de", "es"}
    content = found.to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["task_scores"]["rel"] == pytest.approx(
        sum(rel.by_language.values()) / len(rel.by_language)
    )
    assert content["submission"] is None


@pytest.mark.ray
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"study": "tinny"}, "Did you mean 'tiny'"),
        ({"trial": 99}, "unknown scored trial of study 'tiny' '99'"),
        ({"split": "tests"}, "unknown split to evaluate 'tests'. Did you mean 'test'"),
        ({"split": "train"}, "unknown split to evaluate 'train'"),
        ({"split": "validation", "xtreme": True}, "--split is 'validation'; leave --split out"),
        ({"xtreme_rows": Path("x")}, "--xtreme-rows is for a submission; say where to write it"),
        (
            {"xtreme": True},
            "targets rel, retrieval; a submission needs at least one of XTREME's nine",
        ),
    ],
)
def test_what_is_refused(
    names: dict[str, Any], message: str, finished: Any, tmp_path: Path
) -> None:
    if "xtreme" in names:
        names = {**names, "xtreme": tmp_path / "out"}
    with pytest.raises(Refusal, match=re.escape(message)) as caught:
        evaluated(finished, **names)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.ray
def test_a_phase_that_is_gone_is_named(finished: Any, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    key = ranked(finished.record.rows)[0].phase_keys[-1]
    shutil.rmtree(home / "phases" / key)
    with pytest.raises(Refusal, match=rf"phase {key} \(rel.*'rel' is scored, is not .* with `run`"):
        evaluated(finished, home)


# ---- a trial on made rows in the layout of XTREME's data sets, and its submission

WORDS = ("sea", "cat", "mat", "sun", "dog", "sky")
PAWSX, PANX, QA = ("en", "de", "fr"), ("en", "de"), ("en", "de")

RawRows = list[dict[str, Any]]


def pairs(language: str, count: int) -> RawRows:
    """Every seventh row is a placeholder, as some of PAWS-X's are."""
    rng = random.Random(f"pawsx {language}")
    made = []
    for number in range(count):
        first = " ".join(rng.choices(WORDS, k=4))
        second = first if number % 2 else " ".join(rng.choices(WORDS, k=4))
        dropped = language != "en" and number % 7 == 3
        row = {"sentence1": "NS" if dropped else first, "sentence2": second}
        made.append({**row, "label": str(number % 2)})
    return made


def tagged(language: str, count: int) -> RawRows:
    rng, made = random.Random(f"panx {language}"), []
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.randint(1, 7))
        tags = ["O" if word > "m" else "B-PER" if word < "d" else "B-LOC" for word in words]
        made.append({"tokens": words, "ner_tags": tags, "langs": [language] * len(words)})
    return made


def questions(language: str, count: int) -> RawRows:
    rng, made = random.Random(f"squad {language}"), []
    for number in range(count):
        words = rng.choices(WORDS, k=6)
        place = rng.randrange(6)
        start = len(" ".join(words[:place])) + (place > 0)
        answers = {"text": [words[place]], "answer_start": [start]}
        question, context = f"which {words[place]}", " ".join(words)
        row = {"id": f"q{number}", "question": question, "context": context, "title": ""}
        made.append({**row, "answers": answers})
    return made


def translations(count: int) -> RawRows:
    rng = random.Random("tatoeba")
    lines = [" ".join(rng.choices(WORDS, k=5)) for _ in range(count)]
    return [
        {
            "source_sentence": f"{line} {line}\n",
            "target_sentence": f"{line}\n",
            "source_lang": "deu",
            "target_lang": "eng",
        }
        for line in lines
    ]


def write_bucc(folder: Path) -> set[tuple[str, str]]:
    """Both splits; returns the gold pairs of the one that is tested on."""
    rng, gold = random.Random("bucc"), set()
    folder.mkdir(parents=True)
    for split in ("sample", "training"):
        lines = [" ".join(rng.choices(WORDS, k=7)) + f" {n}" for n in range(30)]
        for code in ("de", "en"):
            rows = [f"{code}-{n:09d}\t{line}" for n, line in enumerate(lines)]
            (folder / f"de-en.{split}.{code}").write_text("\n".join(rows) + "\n")
        gold = {(f"de-{n:09d}", f"en-{n:09d}") for n in range(0, 30, 2)}
        found = "".join(f"{one}\t{other}\n" for one, other in sorted(gold))
        (folder / f"de-en.{split}.gold").write_text(found)
    return gold


STUDY: dict[str, dict[str, Any]] = {
    "study": {"name": "made", "seed": 0},
    "space": {
        "intermediate": ["none", "fact"],
        "intermediate_learning_rate": [1e-3],
        "target_learning_rate": [3e-3],
        "targets": ["pawsx", "panx", "xquad", "tatoeba", "bucc"],
    },
    "training": {
        "intermediate": {"num_steps": 1, "batch_size": 4, "max_length": 32},
        "target": {"num_steps": 40, "batch_size": 16, "max_length": 32},
    },
    "evaluation": {"languages": ["de"], "max_rows": 20},
    "budget": {"num_trials": 1},
}


@dataclass(frozen=True, slots=True)
class Made:
    """A study of one trial on made rows, as the record has it."""

    home: Home
    uri: str
    row: TrialRow
    gold: set[tuple[str, str]]

    def evaluate(self, **names: Any) -> Evaluation:
        address = ExperimentAddress(self.uri, EXPERIMENT).for_study("made")
        return evaluate_trial(address, self.home, **names)


@pytest.fixture
def made(tmp_path: Path, small_base: Path, make_root: Callable[..., Path], uri: str) -> Made:
    for code in PAWSX:
        splits = {"test": pairs(code, 40), "validation": pairs(code, 20)}
        splits |= {"train": pairs(code, 120)} if code == "en" else {}
        make_root("google/xtreme", f"PAWS-X.{code}", splits)
    for code in PANX:
        splits = {"test": tagged(code, 30), "validation": tagged(code, 20)}
        splits |= {"train": tagged(code, 200)} if code == "en" else {}
        make_root("google/xtreme", f"PAN-X.{code}", splits)
    for code in QA:
        make_root("google/xtreme", f"XQuAD.{code}", {"validation": questions(code, 50)})
    make_root("google/xtreme", "tatoeba.deu", {"validation": translations(60)})
    splits = {"train": questions("train", 200), "validation": questions("dev", 10)}
    root = make_root("rajpurkar/squad", "plain_text", splits)
    gold = write_bucc(root / "bucc2018" / "de-en")
    study = {**STUDY["study"], "encoder": str(small_base), "data_root": str(root)}
    settings = StudySettings.parse({**STUDY, "study": study})
    home = Home.of(tmp_path / "home")
    context = TrialContext.open(
        settings, home=home.path, encoder=str(small_base), workers=Workers.alone()
    )
    events: list[Any] = []
    plan = settings.search_space().decode({"intermediate": "none", "target.learning_rate": 3e-3})
    scores = run_trial(plan, context, events.append)
    assert scores is not None
    row = TrialRow(
        number=0,
        state=TrialState.SCORED,
        params={},
        plan=plan,
        phase_keys=tuple(e["record"]["key"] for e in events if e["event"] == "phase"),
        objective=0.5,
        scores=scores,
    )
    record = RecordWriter(
        ExperimentAddress(uri, EXPERIMENT).for_study("made"), outbox=tmp_path / "outbox"
    )
    record.study_started(settings=settings.model_dump(mode="json"), digest="", versions={})
    record.trial_finished(row, baseline=None)
    assert record.outbox.deliver_all()
    return Made(home, uri, row, gold)


def read_tags(file: Path) -> list[list[str]]:
    return [block.split() for block in file.read_text().strip().split("\n\n")]


def squad_f1(answer: str, gold: str) -> float:
    """Of answers that the normalisation leaves as they are."""
    common = sum((Counter(answer.split()) & Counter(gold.split())).values())
    return 2 * common / (len(answer.split()) + len(gold.split()))


def test_a_submission_scores_what_was_reported(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = made.evaluate(xtreme=out)
    scores = {target.task: target for target in found.scores.targets}
    check_files(out, scores, made.gold)
    check_what_is_said(found)
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found.submission is not None
    assert written == list(found.submission.files)
    with pytest.raises(Refusal, match="not an empty folder"):
        made.evaluate(xtreme=out)
    ours = {target.task: target for target in made.evaluate().scores.targets}
    assert ours["xquad"].protocol.cut == "half of validation by paragraph"
    assert ours["xquad"].protocol.differences(scores["xquad"].protocol) == ["data", "rows", "cut"]
    assert set(ours["pawsx"].languages) == {"en", "de"}


def test_rows_of_xtremes_own_files_are_answered_in_the_submission(
    made: Made, tmp_path: Path
) -> None:
    """Without labels, in their own order, and in languages that the hub's rows lack; the scores
    stay those of the hub's rows."""
    theirs = tmp_path / "download"
    write_xtremes(theirs)
    out, plain = tmp_path / "out", tmp_path / "plain"
    found = made.evaluate(xtreme=out, xtreme_rows=theirs)
    assert found.scores == made.evaluate(xtreme=plain).scores
    assert found.submission is not None
    assert found.submission.own_rows == {"panx": ("de", "fr"), "pawsx": ("de",), "tatoeba": ("de",)}
    assert found.submission.unlike_hub == {"panx": ("de", "fr")}
    sentences = read_tags(out / "panx" / "test-de.tsv")
    assert [len(tags) for tags in sentences] == [len(row["tokens"]) for row in OWN_PANX]
    assert (out / "panx" / "test-en.tsv").read_text() == (plain / "panx/test-en.tsv").read_text()
    for name in ("pawsx/test-de.tsv", "tatoeba/test-de.tsv"):
        assert (out / name).read_text() == (plain / name).read_text(), "the same rows"
    assert "panx/test-fr.tsv" in found.submission.files
    assert "fr" not in found.submission.missing_languages["panx"]
    told = io.StringIO()
    show_evaluation(found, Console(file=told, width=300))
    assert "answers the rows of XTREME's own files: panx in de fr; these have no" in told.getvalue()
    assert "XTREME's own rows are not those of the scores: panx in de fr" in told.getvalue()
    with pytest.raises(Refusal, match=r"--xtreme-rows '.*' has no test rows of pawsx, panx"):
        made.evaluate(xtreme=tmp_path / "new", xtreme_rows=tmp_path / "out" / "xquad")
    assert not (tmp_path / "new").exists()


OWN_PANX = tagged("de other", 7)


def write_xtremes(folder: Path) -> None:
    """As its download script does: without labels, English translations sorted."""
    for name in ("panx", "pawsx", "tatoeba"):
        (folder / name).mkdir(parents=True)
    for code in ("de", "fr"):
        text = "\n\n".join("\n".join(row["tokens"]) for row in OWN_PANX)
        (folder / "panx" / f"test-{code}.tsv").write_text(text + "\n")
    lines = [f"{row['sentence1']}\t{row['sentence2']}\r\n" for row in pairs("de", 40)]
    (folder / "pawsx" / "test-de.tsv").write_text("".join(lines), newline="")
    rows = translations(60)
    (folder / "tatoeba" / "de-en.de").write_text("".join(r["source_sentence"] for r in rows))
    english = sorted(row["target_sentence"].strip() for row in rows)
    (folder / "tatoeba" / "de-en.en").write_text("".join(f"{line}\n" for line in english))


def check_files(out: Path, scores: dict[str, TargetScores], gold: set[tuple[str, str]]) -> None:
    """Read back as XTREME's evaluate.py does, against the raw rows."""
    for code in PAWSX:  # French was not asked for in the search
        lines = (out / "pawsx" / f"test-{code}.tsv").read_text().splitlines()
        rows = pairs(code, 40)
        assert len(lines) == len(rows)
        kept = [n for n, row in enumerate(rows) if row["sentence1"] != "NS"]
        labels, answers = [rows[n]["label"] for n in kept], [lines[n] for n in kept]
        assert accuracy_score(labels, answers) == scores["pawsx"].languages[code]["accuracy"]
    for code in PANX:
        golds = [row["ner_tags"] for row in tagged(code, 30)]
        predicted = read_tags(out / "panx" / f"test-{code}.tsv")
        f1 = f1_score(golds, predicted)
        assert f1 == pytest.approx(scores["panx"].languages[code]["f1"])
        assert f1 > 0.2, "the answers differ"
    for code in QA:
        answers = json.loads((out / "xquad" / f"test-{code}.json").read_text())
        golds = {row["id"]: row["answers"]["text"][0] for row in questions(code, 50)}
        assert answers.keys() == golds.keys()
        pairs_ = [(answers[name], gold) for name, gold in golds.items()]
        metrics = scores["xquad"].languages[code]
        assert sum(squad_f1(*pair) for pair in pairs_) / 50 == pytest.approx(metrics["f1"])
        assert sum(a == b for a, b in pairs_) / 50 == pytest.approx(metrics["exact_match"])
    english = [row["target_sentence"].strip() for row in translations(60)]
    labels = [str(n) for n in sorted(range(60), key=lambda n: english[n])]
    lines = (out / "tatoeba" / "test-de.tsv").read_text().splitlines()
    assert accuracy_score(labels, lines) == scores["tatoeba"].languages["de"]["accuracy"]
    lines = (out / "bucc2018" / "test-de.tsv").read_text().splitlines()
    mined = {tuple(line.split("\t")) for line in lines}
    right = len(mined & gold)
    f1 = 2 * right / (len(mined) + len(gold))
    assert f1 == pytest.approx(scores["bucc"].languages["de"]["f1"])
    assert right, "something was mined"


def check_what_is_said(found: Evaluation) -> None:
    assert found.submission is not None
    assert found.submission.missing == ("xnli", "udpos", "mlqa", "tydiqa")
    assert found.submission.missing_languages["pawsx"] == ["es", "ja", "ko", "zh"]
    assert (found.seen, found.is_half_seen) == ({"xquad": ["de"]}, True)
    xquad = next(target for target in found.scores.targets if target.task == "xquad")
    assert xquad.num_rows == {"en": 50, "de": 50}
    assert xquad.protocol.cut == "whole validation as validation and test"
    assert xquad.protocol.rows == 0
    told = io.StringIO()
    show_evaluation(found, Console(file=told, width=200))
    text = told.getvalue()
    assert "Selection used half of the test rows of xquad (de)" in text
    assert "no such target: xnli, udpos, mlqa, tydiqa" in text
    assert "there are no rows: bucc in fr ru zh" in text
    assert "whole validation as validation and test" in text
    assert "XTREME average, tagging" not in text
