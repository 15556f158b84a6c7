"""The Python API: plan, run, read and retrain a study, and use its models, from a program.

Every function does what the command of the same name does, by the same code, and raises `Refusal`
(`spaces.refusal`) with the line that the command would print. torch, Ray and MLflow are imported by
the functions that need them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.callbacks import OnDone, StartCallbacks, ignore
from search.home import Home
from search.recorded_study import Study, located, read
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.encoder_files import check_folder

if TYPE_CHECKING:  # they import torch, Ray, MLflow or pandas
    import pandas as pd

    from search.driver.searcher import Watch
    from search.planning.plan import StudyPlan
    from search.winner.evaluate import Evaluation
    from search.winner.verdict import Verdict
    from trainables.exporting.predictor import Predictor

__all__ = [
    "Study",
    "evaluate",
    "export",
    "load_model",
    "load_settings",
    "plan",
    "predict",
    "read",
    "retrain",
    "run",
]


def load_settings(
    study: str | Path | StudySettings,
    *,
    name: str | None = None,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
) -> StudySettings:
    """The settings of a study.

    Args:
        study: a shipped study by name, a TOML file, or settings.
        name: another name for the study.
        data_root: overrides the folder of its rows.
        encoder: a folder that is read in place of its encoder.

    Raises:
        Refusal: there is no such study, or its file is invalid.

    >>> load_settings("pocket", name="mine").study.name
    'mine'
    """
    if not isinstance(study, StudySettings):
        study = StudySettings.load(study)
    settings = study.with_data_root(data_root).with_encoder(encoder)
    if name is None:
        return settings
    content = settings.model_dump(mode="json")
    return StudySettings.parse({**content, "study": {**content["study"], "name": name}})


def plan(
    study: str | Path | StudySettings,
    *,
    name: str | None = None,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    sequences_per_second: float | None = None,
    rows: bool = False,
    home: str | Path | None = None,
    callbacks: StartCallbacks | None = None,
) -> "StudyPlan":
    """What a study would run: its first trials, its stages, its cost. Nothing is started.
    `study`, `name`, `data_root` and `encoder` are those of `load_settings`.

    Args:
        sequences_per_second: how fast one GPU trains, for the estimate of hours.
        rows: read and check the rows too, and the encoder if it is on this machine.
        home: as in `run`; used if `rows` is set.
        callbacks: as in `run`; used if `rows` is set.

    Returns:
        The plan. Its `errors` are what `run` would refuse, its `warnings` what a reader of the
        scores should know.

    Raises:
        Refusal: as `load_settings`; with `rows`, rows or an encoder that do not fit the study.

    >>> planned = plan("pocket")
    >>> planned.num_trials, planned.errors
    (16, ())
    >>> plan("poket")
    Traceback (most recent call last):
    spaces.refusal.Refusal: unknown study 'poket'. Did you mean 'pocket'? Known: ...
    """
    from search.planning.costs import SEQUENCES_PER_SECOND
    from search.planning.plan import plan_study

    pace = SEQUENCES_PER_SECOND if sequences_per_second is None else sequences_per_second
    if pace <= 0:
        raise Refusal(f"sequences_per_second is {pace:g}; expected more than 0")
    settings = load_settings(study, name=name, data_root=data_root, encoder=encoder)
    if encoder is not None:
        check_folder(encoder)
    planned = plan_study(settings, sequences_per_second=pace)
    if not rows:
        return planned
    from search.planning.row_check import check_rows

    warnings = check_rows(settings, Home.of(home), callbacks or StartCallbacks())
    return replace(planned, warnings=(*planned.warnings, *warnings))


def run(
    study: str | Path | StudySettings,
    *,
    name: str | None = None,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    home: str | Path | None = None,
    address: str | None = None,
    autoscaling: bool = False,
    watch: "Watch | None" = None,
    callbacks: StartCallbacks | None = None,
) -> Study:
    """Run a study, or continue it where an earlier run ended. Blocks until the search is finished;
    call it in the main thread. `study`, `name`, `data_root` and `encoder` are those of
    `load_settings`.

    Args:
        home: the home folder; None: TRANSFER_SEARCH_HOME, else `.transfer-search` here.
        address: a Ray cluster, `HOST:PORT` or `auto`; None: a Ray of the run's own.
        autoscaling: whether the cluster adds nodes on demand.
        watch: shows the trials while they run.
        callbacks: get the progress of the start.

    Returns:
        The finished study.

    Raises:
        Refusal: the study cannot run here (nothing was trained), or MLflow is away at the end.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the same call continues the search.

    >>> run("pocket", address="http://head:8265")
    Traceback (most recent call last):
    spaces.refusal.Refusal: 'http://head:8265' is not an address to run at; expected ...
    """
    from search.cluster.ray_runtime import cluster_at
    from search.driver.runner import run_study
    from search.record.address import RecordAddress

    settings, folder = (
        load_settings(study, name=name, data_root=data_root, encoder=encoder),
        Home.of(home),
    )
    result = run_study(
        settings,
        folder,
        watch,
        cluster=cluster_at(address, folder, can_grow=autoscaling),
        callbacks=callbacks,
    )
    if result.record is None:
        raise KeyboardInterrupt("the search was interrupted; the same call continues it")
    return Study(result.record, RecordAddress.of(settings, folder), folder, result.ended_by)


def retrain(
    study: str | Path | Study,
    *,
    seeds: int = 5,
    trial: int | None = None,
    target: str | None = None,
    force: bool = False,
    promote: bool = False,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    home: str | Path | None = None,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    autoscaling: bool = False,
    on_done: OnDone = ignore,
    on_pretrained: OnDone = ignore,
) -> "Verdict":
    """Train the best trial and its baseline with fresh seeds, on test rows; register the models.

    `home`, `experiment`, `tracking_uri` as in `read`; `address`, `autoscaling`, `encoder` of `run`.

    Args:
        study: a study that was run: a `Study` (it brings its own home), its name, or its TOML file.
        seeds: how many fresh seeds, each for all plans.
        trial: the number of another trial than the best.
        target: choose the trial that is best for this target, and train only what serves it.
        force: continue although the data or the code has changed since the search.
        promote: make the new models champions, whatever they score.
        data_root: overrides the folder of the rows that the search read.
        on_done: called with how many of how many plans are trained.
        on_pretrained: the same for the steps of an encoder that has to be made first.

    Returns:
        The verdict: the runs, the registered models, the gain by target and language.

    Raises:
        Refusal: before anything is trained.

    >>> retrain("tiny", seeds=0)
    Traceback (most recent call last):
    spaces.refusal.Refusal: a retrain with 0 seeds; expected 1 or more (--seeds)
    """
    from search.cluster.ray_runtime import cluster_at
    from search.winner import retrain as winner

    folder, record = located(study, home, experiment, tracking_uri)
    wishes = winner.RetrainRequest(
        num_seeds=seeds,
        trial=trial,
        target=target,
        data_root=data_root,
        encoder=encoder,
        is_forced=force,
        is_promoted=promote,
    )
    cluster = cluster_at(address, folder, can_grow=autoscaling)
    return winner.retrain(
        record, folder, wishes, cluster=cluster, on_pretrained=on_pretrained, on_done=on_done
    )


def evaluate(
    study: str | Path | Study,
    *,
    split: str = "test",
    trial: int | None = None,
    xtreme: str | Path | None = None,
    xtreme_rows: str | Path | None = None,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    home: str | Path | None = None,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    on_pretrained: OnDone = ignore,
) -> "Evaluation":
    """Score a trained trial by target, language and metric. Nothing is trained or recorded.
    The arguments that are not explained are those of `retrain`.

    Args:
        split: `test` or `validation`.
        xtreme: a new folder for a submission to XTREME, whose own test rows are then scored.
        xtreme_rows: the folder of XTREME's download script, whose test rows are answered.

    Raises:
        Refusal: an unknown study, trial or split, or a phase that is not in the phase store.

    >>> evaluate("tiny", split="train")
    Traceback (most recent call last):
    spaces.refusal.Refusal: unknown split to evaluate 'train'. Known: test, validation
    """
    from search.winner.evaluate import evaluate_trial

    folder, record = located(study, home, experiment, tracking_uri)
    return evaluate_trial(
        record,
        folder,
        split=split,
        trial=trial,
        xtreme=Path(xtreme) if xtreme is not None else None,
        xtreme_rows=Path(xtreme_rows) if xtreme_rows is not None else None,
        data_root=data_root,
        encoder=encoder,
        on_pretrained=on_pretrained,
    )


def export(
    study: str | Path | Study,
    folder: str | Path,
    *,
    target: str,
    trial: int | None = None,
    onnx: bool = False,
    int8: bool = False,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    home: str | Path | None = None,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    on_pretrained: OnDone = ignore,
) -> Path:
    """Write the model of one target of a trained trial as a Hugging Face folder, and return that.
    The arguments that are not explained are those of `retrain`.

    Args:
        folder: a new folder.
        target: the target whose model is written.
        onnx: write it in ONNX too (the extra `onnx`), checked on validation rows.
        int8: with `onnx`, also with weights of 8 bits.

    Raises:
        Refusal: an unknown study, trial or target, a folder that is not empty, or a phase that is
            not in the phase store.

    >>> export("tiny", "my-model", target="rel")
    Traceback (most recent call last):
    spaces.refusal.Refusal: my-model exists already and is not an empty folder; name a new one
    """
    from search.winner.export import export_trial

    home_folder, record = located(study, home, experiment, tracking_uri)
    export_trial(
        record,
        Path(folder),
        home_folder,
        target=target,
        trial=trial,
        onnx=onnx,
        int8=int8,
        data_root=data_root,
        encoder=encoder,
        on_pretrained=on_pretrained,
    )
    return Path(folder)


def load_model(
    model: str | Path, *, home: str | Path | None = None, tracking_uri: str | None = None
) -> "Predictor":
    """The predictor of an exported folder, or of a registered model.

    Args:
        model: a folder that `export` wrote, `models:/NAME/VERSION` or `models:/NAME@champion`.
        home: as in `read`.
        tracking_uri: as in `read`.

    Returns:
        A predictor: `predict(rows)` returns one prediction a row (a label, a span, tags, ...),
        `answer(rows)` one dictionary a row, with probabilities where the task has them.

    Raises:
        Refusal: there is no such folder, model, version or alias, or its files are damaged.

    >>> model = load_model("my-model")
    >>> model.predict([{"text_a": "uno", "text_b": "dos"}])[0] in model.about.labels
    True
    """
    from search.winner.predict import load_model as load

    return load(str(model), tracking_uri=tracking_uri or Home.of(home).mlflow_uri())


def predict(
    model: "str | Path | Predictor",
    rows: "Iterable[Mapping[str, Any]] | pd.DataFrame",
    *,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
) -> list[dict[str, Any]]:
    """Answer rows with a model.

    Args:
        model: a predictor, or what `load_model` takes.
        rows: the rows, as mappings or as a data frame; which columns they need depends on the kind
            of the model's task (`Predictor.answer`). A missing cell of a data frame is None.
        home: as in `load_model`.
        tracking_uri: as in `load_model`.

    Returns:
        One answer a row, in order.

    Raises:
        Refusal: the model cannot be loaded, or a row is invalid.

    >>> answers = predict("my-model", [{"text_a": "uno", "text_b": "dos"}])
    >>> sorted(answers[0])
    ['label', 'probabilities']
    """
    from search.report.frames import rows_of

    if isinstance(model, str | Path):
        model = load_model(model, home=home, tracking_uri=tracking_uri)
    return model.answer(rows_of(rows))
