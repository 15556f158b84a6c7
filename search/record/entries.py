"""Builds the entries of the outbox: what is logged at each event of a study, as plain values. Pure.

An entry describes the state that a run or model should have, so applying it twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from search.mlflow_view.labels import PHASE, RETRAIN, RETRAIN_RUN, STUDY, TRIAL
from search.trials.gains import averages
from search.trials.ranking import PhaseRow, TrialRow, TrialState, transfer_gain
from search.trials.score_tables import matrix, scored_rows
from spaces.phases import Phase, TrialPlan, rate_name
from trainables.scoring.scores import Mark, Scores

RUN_STATUS: Mapping[TrialState, str] = {
    TrialState.RUNNING: "RUNNING",
    TrialState.SCORED: "FINISHED",
    TrialState.DUPLICATE: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.PRUNED: "KILLED",
}
OUTCOMES = "outcomes"  # folder among a run's artifacts
ROWS = "rows.json.gz"  # all trials and phases of a study that has ended
Entry = dict[str, Any]
Labels = dict[str, str]  # the tags that identify a run in its study

_MAX_PARAMS = 90  # MLflow takes at most 100 in one call
_MAX_NOTE = 7900  # characters; a tag of MLflow holds 8000


def model_name(study: str, task: str) -> str:
    """The name of a target's model in the registry."""
    return f"{study}-{task}"


def run_entry(labels: Labels, *, name: str, status: str | None, **fields: Any) -> Entry:
    """Return the entry of a run that should exist.

    Further fields are `params`, `metrics`, `tags`, `note` (Markdown), `inputs` (data sets),
    `parent` (labels), `lasted` (seconds), and `files` by name, as `mlflow_files.put_files` writes
    them.
    """
    return {"kind": "run", "labels": labels, "name": name, "status": status, **fields}


def study_labels() -> Labels:
    return {"role": STUDY}


def trial_labels(number: int) -> Labels:
    return {"role": TRIAL, "trial": str(number)}


def retrain_labels(name: str, *, seed: int, role: str) -> Labels:
    return {"role": RETRAIN_RUN, "retrain": name, "seed": str(seed), "part": role}


def study_started(
    study: str,
    *,
    settings: Mapping[str, Any],
    digest: str,
    versions: Mapping[str, str],
    warnings: Sequence[str] = (),
    world: Mapping[str, Any] | None = None,
) -> Entry:
    return run_entry(
        study_labels(),
        name=study,
        status="RUNNING",
        params=_flat(settings),
        tags={"digest": digest, **{f"version.{name}": v for name, v in versions.items()}},
        files={
            "settings.json": dict(settings),
            "warnings.json": {"warnings": list(warnings)},
            "world.json": dict(world or {}),
        },
    )


def trial_entry(row: TrialRow, *, baseline: TrialRow | None) -> Entry:
    """Return the entry of a trial's run, at its start or at its end."""
    files: dict[str, Any] = {"plan.json": row.plan.to_dict(), "trial.json": row.to_dict()}
    if row.scores is not None:
        files["matrix.json"] = {"targets": [target.to_dict() for target in row.scores.targets]}
        files["matrix.parquet"] = matrix(row.scores)
    metrics = score_metrics(row.scores)
    metrics |= _present({"objective": row.objective, "transfer_gain": transfer_gain(row, baseline)})
    metrics |= {f"objective.{name}": value for name, value in row.values.items()}
    metrics |= _present({"largest_drop": row.largest_drop})
    metrics |= {f"seconds.{name}": value for name, value in (row.seconds or {}).items()}
    return run_entry(
        trial_labels(row.number),
        name=trial_name(row.number, row.plan),
        status=RUN_STATUS[row.state],
        parent=study_labels(),
        params={name: str(value) for name, value in row.params.items()},
        metrics=metrics,
        tags=_trial_tags(row),
        files=files,
        inputs=scored_rows(row),
    )


def phase_entry(row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> Entry:
    """Return the entry of a phase's run, which belongs to the study, as trials may share it."""
    numbers = {
        "num_steps": row.num_steps,
        "num_examples": row.num_examples,
        "num_tokens": row.num_tokens,
    }
    return run_entry(
        {"role": PHASE, "phase": row.key},
        name=f"{row.name} {rate_name(row.learning_rate)}",
        status="FINISHED",
        parent=study_labels(),
        lasted=row.seconds,
        params={"name": row.name, "learning_rate": str(row.learning_rate)},
        metrics=_present({**numbers, "seconds": row.seconds, "dev_score": row.dev_score}),
        tags={"parent_phase": row.parent or "", "retried": str(row.retried).lower()},
        files={"phase.json": {"row": row.to_dict(), "phase": dict(plan_phase)}},
    )


def study_finished(
    study: str,
    *,
    rows: Sequence[TrialRow],
    phases: Sequence[PhaseRow],
    summary: Mapping[str, Any],
    best: TrialRow | None,
) -> Entry:
    tags = {} if best is None else {"best_trial": str(best.number)}
    metrics = {} if best is None else score_metrics(best.scores)
    if best is not None and best.objective is not None:
        metrics["objective"] = best.objective
    return run_entry(
        study_labels(),
        name=study,
        status="FINISHED",
        metrics={f"best.{name}": metrics[name] for name in metrics if name.count(".") == 0},
        tags=tags,
        files={
            "summary.json": dict(summary),
            ROWS: {
                "trials": [row.to_dict() for row in rows],
                "phases": [row.to_dict() for row in phases],
            },
        },
    )


def study_described(study: str, *, note: str, figures: Mapping[str, str]) -> Entry:
    """Return the entry with the study's description: a note in Markdown, and figures (name ->
    SVG)."""
    return run_entry(
        study_labels(),
        name=study,
        status=None,
        note=note[:_MAX_NOTE],
        files={f"figures/{name}.svg": svg for name, svg in figures.items()},
    )


def outcomes_entry(labels: Labels, *, name: str, files: Mapping[str, str]) -> Entry:
    """Return the entry that sends the outcomes of a run's rows: target -> path of its file."""
    paths = {f"{OUTCOMES}/{task}.safetensors": path for task, path in files.items()}
    return {"kind": "paths", "labels": labels, "name": name, "paths": paths}


def gains_entry(
    gains: Mapping[int, Mapping[str, float]], tags: Mapping[int, Mapping[str, str]]
) -> Entry:
    """Return the entry with metrics and tags that are known only at the end, by trial number."""
    return {
        "kind": "gains",
        "gains": {str(number): dict(gains[number]) for number in gains},
        "tags": {str(number): dict(tags[number]) for number in tags},
    }


def feasible_tag(row: TrialRow) -> dict[str, str]:
    """Return the tag that says whether the trial may win; empty if the study has no limit."""
    return {} if row.is_feasible is None else {"feasible": str(row.is_feasible).lower()}


def model_entries(row: TrialRow, locations: Mapping[str, Mapping[str, str]]) -> list[Entry]:
    """Return entries that log the trial's target phases as models, with references to the files."""
    entries = []
    for key, tasks in target_phases(row).items():
        if key not in locations:
            continue
        metrics = score_metrics(row.scores)
        names = [f"{part}.{task}" for task in tasks for part in ("zero_shot_mean", "source")]
        entries.append(
            {
                "kind": "model",
                "key": key,
                "run": trial_labels(row.number),
                "name": f"trial-{row.number:04d}-{'-'.join(tasks) or key[:8]}",
                "params": {"phase_key": key, "targets": ", ".join(tasks), **locations[key]},
                "metrics": [name for name in names if name in metrics],
            }
        )
    return entries


def target_phases(row: TrialRow) -> dict[str, tuple[str, ...]]:
    """Return key of each target phase -> the targets that it serves.

    If no target trains, the key is that of the intermediate phase. A row lists the keys of its
    different phases in the order of the plan. If there are more or fewer keys than phases (the
    trial was resumed, or a phase was retried), the targets are unknown and the tuples are empty.
    """
    tasks: dict[Phase, list[str]] = {}
    for target in row.plan.targets:
        if target.phase is not None:
            tasks.setdefault(target.phase, []).append(target.task.name)
    keys = list(dict.fromkeys(row.phase_keys))
    if not tasks:
        return dict.fromkeys(keys[:1], ())
    keys = keys[0 if row.plan.is_baseline else 1 :]
    if len(keys) != len(tasks):
        return dict.fromkeys(keys, ())
    return {key: tuple(names) for key, names in zip(keys, tasks.values(), strict=True)}


def retrain_entry(
    name: str,
    *,
    seed: int,
    role: str,
    plan: TrialPlan,
    phase_keys: Sequence[str],
    state: TrialState,
    scores: Scores | None = None,
    validation: Scores | None = None,
    reason: str | None = None,
    lock: str = "",
) -> Entry:
    """Return the entry of one run of a retrain: winner, baseline or twin, with one seed.

    Args:
        name: name of the retrain.
        seed: seed of the run.
        role: `winner`, `baseline` or `twin`.
        plan: plan that is trained.
        phase_keys: keys of its phases.
        state: state of the run.
        scores: scores on test rows; None unless scored.
        validation: scores on validation rows, which choose between the winner's seeds.
        reason: why it failed; None unless failed.
        lock: digest of plans, data, code and versions; equal for all runs of one retrain.
    """
    content = {
        "name": name,
        "seed": seed,
        "role": role,
        "state": state.value,
        "plan": plan.to_dict(),
        "phase_keys": list(phase_keys),
        "scores": scores.to_dict() if scores else None,
        "validation": validation.to_dict() if validation else None,
        "reason": reason,
        "lock": lock,
    }
    tags = {"state": state.value, "phases": ",".join(phase_keys), "reason": reason or ""}
    tags |= {"lock": lock, **_marks(scores)}
    chosen_by = score_metrics(validation)
    metrics = {f"validation.{k}": v for k, v in chosen_by.items() if k.startswith("zero_shot_mean")}
    return run_entry(
        retrain_labels(name, seed=seed, role=role),
        name=retrain_name(name, seed=seed, role=role),
        status=RUN_STATUS[state],
        parent={"role": RETRAIN, "retrain": name},
        params={"role": role, "seed": str(seed), "plan": str(plan)},
        metrics=score_metrics(scores) | metrics,
        tags=tags,
        files={"plan.json": plan.to_dict(), "retrain.json": content},
    )


def retrain_locked(name: str, *, lock: Mapping[str, Any]) -> Entry:
    """Return the entry with the lock of a retrain, which is written before it trains anything."""
    return run_entry(
        {"role": RETRAIN, "retrain": name},
        name=f"retrain {name}",
        status="RUNNING",
        parent=study_labels(),
        files={"lock.json": dict(lock)},
    )


def retrain_closed(name: str, *, summary: Mapping[str, Any]) -> Entry:
    return run_entry(
        {"role": RETRAIN, "retrain": name},
        name=f"retrain {name}",
        status="FINISHED",
        parent=study_labels(),
        files={"summary.json": {"name": name, **summary}},
    )


def score_metrics(scores: Scores | None) -> dict[str, float]:
    """Return metric name -> score; the only place where metric names are built."""
    if scores is None:
        return {}
    metrics: dict[str, float | None] = {
        "zero_shot_mean": scores.zero_shot_mean,
        "transfer_gap": scores.transfer_gap,
        "worst_language": scores.worst_language[2],
    }
    metrics["xtreme_average"] = averages(scores).get("all")
    for target in scores.targets:
        metrics[f"zero_shot_mean.{target.task}"] = target.zero_shot_mean
        metrics[f"source.{target.task}"] = target.source
        for language, score in target.zero_shot.items():
            metrics[f"zero_shot.{target.task}.{language}"] = score
    return _present(metrics)


def retrain_name(name: str, *, seed: int, role: str) -> str:
    return f"{name} {role} seed {seed}"


def trial_name(number: int, plan: TrialPlan) -> str:
    return f"{number:04d} {plan}"


def _trial_tags(row: TrialRow) -> dict[str, str]:
    tags = {"state": row.state.value, "phases": ",".join(row.phase_keys), **feasible_tag(row)}
    if row.reason:
        tags["reason"] = row.reason[:1000]
    if row.duplicate_of is not None:
        tags["duplicate_of"] = str(row.duplicate_of)
    if row.num_reused is not None:
        tags["stage_reuse"] = f"{row.num_reused} of {len(row.phase_keys)}"
    if row.scores is not None:
        tags["collapsed"] = str(row.scores.is_collapsed).lower()
        tags["worst_language"] = "/".join(row.scores.worst_language[:2])
        tags |= _marks(row.scores)
        for target in row.scores.targets:
            protocol = target.protocol
            tags[f"protocol.{target.task}"] = (
                f"{protocol.split} {protocol.selection} {protocol.data}"
            )
    return tags


def _marks(scores: Scores | None) -> dict[str, str]:
    marked = [t for t in scores.targets if t.mark is not Mark.NONE] if scores else []
    return {f"mark.{target.task}": target.mark.value for target in marked}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return dotted name -> setting, without the tables of single targets, which only settings.json
    has."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= {} if dotted == "training.targets" else _flat(value, f"{dotted}.")
        elif isinstance(value, list | tuple):
            flat[dotted] = ", ".join(str(item) for item in value)
        elif value is not None:
            flat[dotted] = str(value)
    shown = [name for name in flat if flat[name]]
    return {name: flat[name][:500] for name in shown[:_MAX_PARAMS]}


def _present(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}
