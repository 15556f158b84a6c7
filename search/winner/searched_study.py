"""A study read from its record: choose one of its trials, and open its encoder and data."""

from dataclasses import dataclass, replace
from pathlib import Path

from search.base_encoder import check_same, find_encoder
from search.callbacks import OnDone, ignore
from search.home import Home
from search.record.address import RecordAddress
from search.record.reader import StudyRecord, read_study
from search.trials.feasibility import judge_all
from search.trials.ranking import TrialRow, TrialState, best
from spaces.refusal import unknown
from spaces.study_file.study import StudySettings
from trainables.encoders.model import settings_digest
from trainables.scoring.scores import Scores, objective
from trainables.store.stores import phase_store_address
from trainables.training.context import TrialContext
from trainables.training.workers import Workers


@dataclass(frozen=True, slots=True)
class SearchedStudy:
    """The record of a study, and the settings of its search.

    `phase_store` is the address of the object store that holds the phases, resolved here from these
    settings and this process's environment; None: the home folder alone.
    """

    record: StudyRecord
    settings: StudySettings
    phase_store: str | None = None

    @classmethod
    def read(
        cls,
        address: RecordAddress,
        *,
        data_root: str | Path | None,
        encoder: str | Path | None = None,
    ) -> "SearchedStudy":
        """Read the study from MLflow; `data_root` overrides the folder of the rows that the search
        read, `encoder` that of its encoder. Raises Refusal if there is no such study."""
        record = read_study(address)
        where = f"the record of study {address.study!r}"
        settings = record.settings.whole(where=where)
        phase_store = phase_store_address(settings.resources.phase_store)
        settings = settings.with_data_root(data_root).with_encoder(encoder)
        return cls(record, settings, phase_store)

    def for_target(self, task: str) -> "SearchedStudy":
        """The study as if the target were its only one: only this target's scores rank the trials,
        whatever the objectives of the study are, and a plan trains only what this target needs.
        Raises Refusal if the study has no such target."""
        self.check_target(task)
        evaluation = self.settings.evaluation.model_copy(update={"objective": (task,)})
        rule, pivots = evaluation.selection, evaluation.pivot_languages

        def restricted(row: TrialRow) -> TrialRow:
            targets = tuple(target for target in row.plan.targets if target.task.name == task)
            row = replace(row, plan=replace(row.plan, targets=targets))
            if row.scores is None:
                return row
            scored = tuple(target for target in row.scores.targets if target.task == task)
            scores = Scores(targets=scored, of_interest=(task,))
            value = objective(scores, rule, pivot_languages=pivots) if scored else None
            return replace(row, scores=scores, objective=value, values={})

        restricted_rows = [restricted(row) for row in self.record.rows]
        rows = judge_all(restricted_rows, evaluation)
        settings = self.settings.model_copy(update={"evaluation": evaluation})
        return replace(self, record=replace(self.record, rows=rows), settings=settings)

    def check_target(self, task: str) -> None:
        """Raise Refusal if the task is not a target of the study."""
        targets = self.settings.space.targets
        if task not in targets:
            raise unknown(f"target of study {self.record.name!r}", task, targets)

    def choose(self, trial: int | None) -> TrialRow:
        """The trial with this number, or the best one (None). Raises Refusal if it has no score."""
        rows = self.record.rows
        if trial is None:
            return best(rows)
        scored = {str(row.number): row for row in rows if row.state is TrialState.SCORED}
        if str(trial) not in scored:
            raise unknown(f"scored trial of study {self.record.name!r}", str(trial), scored)
        return scored[str(trial)]

    def open(
        self, home: Home, *, on_pretrained: OnDone = ignore, any_encoder: bool = False
    ) -> tuple[str, TrialContext]:
        """(the folder or hub name of the study's encoder, a trial context of this process). If the
        study pretrains its encoder and it is not in `home` yet, it is pretrained first, and
        `on_pretrained` is called with the numbers of finished and of all steps. Raises Refusal if
        the encoder cannot be found, or is not that of the record; `any_encoder` leaves the second
        to the caller."""
        with home.made():
            encoder = find_encoder(self.settings, home, on_step=on_pretrained)
            context = TrialContext.open(
                self.settings,
                home=home.path,
                encoder=encoder,
                workers=Workers.alone(),
                phase_store=self.phase_store,
            )
            if not any_encoder:
                of = f"study {self.record.name!r}"
                check_same(context.base, self._recorded(), folder=encoder, of=of)
        return encoder, context

    def _recorded(self) -> dict[str, str]:
        """The digests of the search's encoder; empty in records of earlier versions."""
        world = self.record.world
        names = {"encoder": "weights", "tokenizer": "tokenizer"}
        digests = {part: world[name] for name, part in names.items() if name in world}
        if "config" in world:
            digests["config"] = settings_digest(world["config"])
        return digests
