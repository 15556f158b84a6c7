"""Study: a study that was run, with its record as values and as pandas data frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.home import Home

if TYPE_CHECKING:  # they import pandas or pyarrow, which whoever only plans need not wait for
    import pandas as pd

    from search.findings.findings import Findings
    from search.record.address import RecordAddress
    from search.record.reader import StudyRecord
    from search.trials.ranking import TrialRow


@dataclass(frozen=True, slots=True, repr=False)
class Study:
    """A study that was run, as MLflow has it. `run` and `read` return it.

    Scores and gains are in [0, 1]; a gain of 0.01 is one point. The methods that return data frames
    read nothing: they arrange what `record` holds. Every column has one of pandas' own types
    (`Int64`, `Float64`, `boolean`, `string`), in which a cell may be missing.

    Attributes:
        record: everything that the record holds, as plain values.
        address: where the record is.
        home: the home folder of the search.
        ended_by: the limit of hours that ended this run before its trials were used up; None where
            no limit did, and for a study that was only read.
    """

    record: "StudyRecord"
    address: "RecordAddress"
    home: Home
    ended_by: str | None = None

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {self.record.state}, {len(self.record.rows)} trials)"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.name

    @property
    def is_finished(self) -> bool:
        """Whether the search was completed."""
        return self.record.state == "finished"

    @property
    def best(self) -> "TrialRow":
        """The trial that `retrain` trains again: the best one, baselines included.

        Raises:
            Refusal: no trial is scored yet.

        >>> read("tiny").best.number
        3
        """
        from search.trials.ranking import best

        return best(self.record.rows)

    @property
    def baseline(self) -> "TrialRow | None":
        """The best trial without an intermediate phase; None where none is scored.

        >>> read("tiny").baseline.number
        1
        """
        from search.trials.ranking import best_baseline

        return best_baseline(self.record.rows)

    def trials(self) -> "pd.DataFrame":
        """One row a trial, in the order in which they were asked for.

        Returns:
            `trial` (its number), `state` (running, scored, failed, pruned, duplicate), `plan`,
            `intermediate` (missing for a baseline), `seed`, `objective`, `transfer_gain` (zero-shot
            mean minus that of the best baseline), `paired_gain` (minus that of the baseline with
            the same target phases), `largest_drop` (of a language under its baseline), `may_win`,
            `is_collapsed`, `seconds` (wall time), `num_reused` (phases found in the store),
            `duplicate_of`, `reason` (of a failure); then `params_NAME` for each parameter, and
            `values_NAME` for each objective that the study names.

        >>> study = read("tiny")
        >>> frame = study.trials()
        >>> frame.loc[frame.state == "scored", ["trial", "intermediate", "objective"]].round(2)
           trial intermediate  objective
        0      0         <NA>        0.5
        1      1         <NA>       0.52
        2      2         fact        0.6
        3      3         fact       0.61
        4      4          coh        0.3
        """
        from search.report.frames import trials_frame

        return trials_frame(self.record)

    def scores(self) -> "pd.DataFrame":
        """One row a trial, target and language: the validation scores of the search.

        Returns:
            `trial`, `target`, `language`, `is_source` (the language that the target trains on),
            `metric` (the target's main one), `score`, `num_rows` (scored rows), `mark` (`collapsed`
            or `no signal`, missing for a sound target). Pruned trials have the scores that they had
            when they ended.

        >>> scores = read("tiny").scores()
        >>> zero_shot = scores[~scores.is_source]
        >>> zero_shot.groupby(["target", "trial"]).score.mean().unstack().round(2)[[1, 3]]
        trial         1     3
        target
        coh        0.52  0.61
        rel        0.52  0.61
        retrieval  0.59   0.6
        """
        from search.report.frames import scores_frame

        return scores_frame(self.record)

    def gains(self) -> "pd.DataFrame":
        """One row a trial with an intermediate phase, target and language: its score minus that of
        the best baseline (of the same seed, where the baseline was trained with that seed too).

        Returns:
            `trial`, `baseline` (the trial it is compared with), `intermediate`, `target`,
            `language`, `is_source`, `score`, `baseline_score`, `gain`.

        >>> gains = read("tiny").gains()
        >>> gains.loc[(gains.trial == 3) & (gains.target == "rel"), ["language", "gain"]].round(2)
           language  gain
        8        en  0.09
        9        de  0.09
        10       tr  0.09
        """
        from search.report.frames import gains_frame

        return gains_frame(self.record)

    def phases(self) -> "pd.DataFrame":
        """One row a phase that was trained; trials share phases by their keys.

        Returns:
            `key`, `parent` (the key of the phase it starts from), `name`, `learning_rate`,
            `num_steps`, `num_examples`, `num_tokens`, `seconds`, `dev_score`, `retried` (at half
            its learning rate), `loss_fell`.

        >>> read("tiny").phases()[["key", "name", "num_steps", "seconds"]]
                   key  name  num_steps  seconds
        0  fact-0.0002  fact         20      1.5
        """
        from search.report.frames import phases_frame

        return phases_frame(self.record)

    def retrains(self) -> "pd.DataFrame":
        """One row a run of a retrain, target and language: the test scores of its fresh seeds. A
        run without scores has one row, in which the target is missing.

        Returns:
            `retrain` (its name), `role` (winner, baseline or twin), `seed`, `state`, `plan`,
            `reason` (of a failure), then the columns of `scores` from `target` on.

        >>> frame = read("tiny").retrains()
        >>> frame.groupby(["role", "language"]).score.mean().unstack().round(2)
        language   de    en   tr
        role
        winner    0.8  0.92  0.5
        """
        from search.report.frames import retrains_frame

        return retrains_frame(self.record)

    def findings(self, *, force: bool = False) -> "Findings":
        """The content of the report: gains, verdicts, degradation, costs, cautions.

        Args:
            force: report scores of unlike protocols all the same.

        Raises:
            Refusal: trials were scored in different ways, and `force` is not set.
        """
        from search.findings.find import find

        return find(self.record, force=force)


def read(
    study: str | Path,
    *,
    home: str | Path | None = None,
    experiment: str | None = None,
    tracking_uri: str | None = None,
) -> Study:
    """Read a study that was run, from MLflow alone.

    Args:
        study: its name, or its TOML file, which names the study, the experiment and MLflow.
        home: the home folder; None: TRANSFER_SEARCH_HOME, else `.transfer-search` here.
        experiment: overrides the experiment.
        tracking_uri: overrides the address of MLflow.

    Raises:
        Refusal: there is no such study in the record, or MLflow does not answer.

    >>> read("tiny")
    Study('tiny', finished, 9 trials)
    """
    from search.record.reader import read_study
    from search.record.writer import drain_left

    folder, address = located(study, home, experiment, tracking_uri)
    drain_left(address, outbox=folder.outbox(address.study))
    return Study(read_study(address), address, folder)


def located(
    study: str | Path | Study,
    home: str | Path | None,
    experiment: str | None,
    tracking_uri: str | None,
) -> "tuple[Home, RecordAddress]":
    """The home folder of a study and the address of its record."""
    from search.record.address import RecordAddress

    if isinstance(study, Study):
        return study.home, study.address
    folder = Home.of(home)
    found = RecordAddress.find(str(study), folder, experiment=experiment, tracking_uri=tracking_uri)
    return folder, found
