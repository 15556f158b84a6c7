"""The commands that may be run next. Pure."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from search.findings.findings import Findings
from search.glance.evidence import Evidence, Standing
from search.record.entries import model_name
from spaces.redaction import hide_secrets

PROGRAM = "transfer-search"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that may be run next, and what for."""

    aim: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A study as a command named it (a name or a file), and the options that say where it is."""

    study: str
    home: str | None = None
    experiment: str | None = None
    tracking_uri: str | None = None

    def command(self, verb: str, *arguments: str) -> str:
        """A command on this study as a shell takes it, without passwords."""
        return self._joined(verb, self.study, *arguments, with_experiment=True)

    def predict(self, model: str) -> str:
        """A command that asks a registered model."""
        return self._joined("predict", model, "ROWS.jsonl", with_experiment=False)

    def _joined(self, *words: str, with_experiment: bool) -> str:
        experiment = self.experiment if with_experiment else None
        options = (
            ("--home", self.home),
            ("--experiment", experiment),
            ("--tracking-uri", self.tracking_uri),
        )
        place = [hide_secrets(part) for name, value in options if value for part in (name, value)]
        return shlex.join([PROGRAM, *words, *place])


def steps(findings: Findings, evidence: Evidence, asked: Asked) -> Iterator[Step]:
    """What to do with the answer, if anything; then how to see everything."""
    standing, is_undecided = evidence.standing, evidence.retrain is None
    has_model = any(set(r.targets) == set(findings.objective_targets) for r in findings.retrains)
    if findings.state != "finished":
        yield Step(aim="Next (if it was stopped)", command=asked.command("run"))
    elif standing is Standing.CONFIRMED or (is_undecided and has_model):
        name = model_name(findings.study, findings.objective_targets[0])
        yield Step(aim="Next (ask the model)", command=asked.predict(f"models:/{name}@champion"))
    elif standing is Standing.NOT_CONFIRMED:
        more = str(2 * max(2, evidence.num_seeds))
        command = asked.command("retrain", "--seeds", more)
        yield Step(aim="Next (a narrower interval)", command=command)
    elif is_undecided and findings.best and not findings.best.collapsed:
        yield Step(aim="Next (fresh seeds, test rows)", command=asked.command("retrain"))
    everything = asked.command("report", "--full")
    yield Step(aim="Everything (or --html FILE)", command=everything)
