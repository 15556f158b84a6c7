"""The findings of a study in words: short sentences, numbers in percentage points. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from search.display.number_format import percent, points

Json = Mapping[str, Any]

AVERAGES: Json = {
    "all": "all nine tasks",
    "without_retrieval": "without retrieval",
    "classification": "classification",
    "tagging": "tagging",
    "qa": "question answering",
    "retrieval": "retrieval",
}


MAX_NAMED = 8
MEANING = (
    "Better and worse mean p < 0.05, adjusted for the number of languages of the target (Holm). "
    "The intervals are not adjusted. A tie means that the difference is not significant."
)

ONE_SEED = "These verdicts compare one seed per side. Another seed could reverse them."


def meaning(cells: Sequence[Json]) -> list[str]:
    """What the verdicts stand for, in sentences; nothing where there are none."""
    if not cells:
        return []
    one_seed = [ONE_SEED] if any(cell["num_seeds"] == 1 for cell in cells) else []
    return [MEANING, *over_all_cells(cells), *one_seed]


def over_all_cells(cells: Sequence[Json]) -> Iterator[str]:
    """How many calls stand where all targets are adjusted for together: each target by itself has
    a false call in one of twenty reports, nine have one in more than a third. Nothing of a single
    target, or where no language is called."""
    named = [c for c in cells if c["call"] != "tie" and c.get("adjusted_all") is not None]
    tasks = {cell["task"] for cell in cells}
    if len(tasks) < 2 or not named:
        return
    held = [cell for cell in named if cell["adjusted_all"] < 0.05]
    yield (
        f"Adjusted for all {len(cells)} cells of the {len(tasks)} targets together, "
        f"{len(held)} of these {len(named)} calls stand."
    )


def calls(cells: Sequence[Json]) -> str:
    """How many languages are better, worse and tied, the first two by name."""
    parts = []
    for call in ("better", "worse"):
        named = [
            f"{c['task']} {c['language']} {points(c['mean'])}" for c in cells if c["call"] == call
        ]
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        listed = f" ({', '.join(named[:MAX_NAMED])}{more})" if named else ""
        parts.append(f"{call} in {len(named)}{listed}")
    return f"{', '.join(parts)}, tie in {sum(c['call'] == 'tie' for c in cells)} of {len(cells)}"


def sentences(found: Json) -> list[str]:
    """What a reader wants to know first, then what to beware of."""
    return [*_answer(found), *_retrained(found), *_cautions(found)]


def closing(found: Json) -> list[str]:
    """How the study ran: what mattered to the objective, phases shared, overhead."""
    phases, overhead, summary = found["phases"], found["overhead_seconds"], found["summary"]
    lines = [
        f"Phases: {phases['trained']} trained, {phases['used']} used by scored trials, "
        f"{phases['reused']} of these were reused from an earlier trial."
    ]
    if overhead is not None:
        lines.append(
            f"Overhead of a warm trial, neither training nor evaluation: {overhead:.2f} s (median)."
        )
    for name, value in (found["best"] or {}).get("averages", {}).items():
        lines.append(f"XTREME average of the best trial, {AVERAGES[name]}: {percent(value)}.")
    of_each = summary.get("importances") or {"the objective": summary.get("importance") or {}}
    for objective, importance in of_each.items():
        order = sorted(importance.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {share:.2f}" for name, share in order)
        whose = f"{objective}'s" if objective == "the objective" else objective
        lines += [f"Share of {whose} variation by param: {shares}."] if shares else []
    lines += [f"Warning before the search: {warning}." for warning in found["warnings"]]
    return [*lines, *_exhausted(summary)]


def _exhausted(summary: Json) -> Iterator[str]:
    """What there was no more of. Older records call it `is_exhausted`, whatever it was."""
    what = summary.get("exhausted") or ("sampler" if summary.get("is_exhausted") else None)
    if what == "space":
        yield "The space is exhausted: every plan in it was tried."
    elif what == "sampler":
        yield "The sampler proposes nothing new: 20 times in a row it drew a plan that was tried."


def seen_rows(seen: Mapping[str, Sequence[str]], *, part: str = "the") -> Iterator[str]:
    """One sentence on the test rows that selection has seen, by target and language, if any;
    `part` is how much of them."""
    if seen:
        named = [f"{task} ({' '.join(languages)})" for task, languages in seen.items()]
        yield (
            f"Selection used {part} test rows of {', '.join(named)}. The benchmark has only one "
            "evaluation split there, and this study takes it whole."
        )


def _answer(found: Json) -> Iterator[str]:
    best, baseline = found["best"], found["baseline"]
    if best is None:
        yield f"No trial is scored yet; the study is {found['state']}."
        return
    if baseline is None:
        yield "No baseline is scored, so the report cannot say whether intermediate training helps."
        return
    if best["collapsed"]:
        yield "Every scored trial collapsed: nothing is learned at these learning rates."
        return
    level = percent(found["baseline_mean"])
    name = f"trial {baseline['number']}, {level} %"
    if best["intermediate"] is None and found["objectives"]:
        yield f"The best trial in {found['objectives'][0]}, the first objective, is a baseline."
        return
    if best["intermediate"] is None:
        allowed = " that may win" if any(t["is_feasible"] is False for t in found["trials"]) else ""
        yield f"No intermediate training{allowed} beats the best baseline ({name})."
        if found["gain"] and not allowed:
            short = points(found["gain"]["mean"])
            yield f"The best trial with intermediate training stands at {short} points against it."
        yield from _spoilers(found)
        return
    gain = found["gain"]
    verb = "lifts" if gain["mean"] >= 0 else "lowers"
    num = gain["num_first"]
    seeds = f", in the mean of {num} seeds{over_seeds(gain)}" if num > 1 else ""
    yield (
        f"Intermediate training on {best['label']} {verb} the zero-shot mean by "
        f"{points(gain['mean'])} points over the best baseline ({name}), to "
        f"{percent(found['best_mean'])} % (trial {best['number']}){seeds}."
    )
    yield from without_collapsed(gain)
    yield from _pairs(found, best)
    yield from _spoilers(found)
    yield from _selected(found)
    yield _losers(found)


def _pairs(found: Json, best: Json) -> Iterator[str]:
    """Over all its learning rates, beside baselines with the same target phases."""
    group = next(g for g in found["intermediates"] if g["intermediate"] == best["intermediate"])
    gains = group["paired_gains"]
    if len(gains) > 1:
        above = sum(gain > 0 for gain in gains)
        spoilt = group["num_spoilt_pairs"]
        told = f"; in {spoilt} of them a target collapsed on a side" if spoilt else ""
        yield (
            f"Against the baseline with the same target phases, {above} of {len(gains)} trials on "
            f"{best['label']} gain, from {points(min(gains))} to {points(max(gains))} points{told}."
        )


def _spoilers(found: Json) -> Iterator[str]:
    """Targets that collapse more often after an intermediate task than without one."""
    groups = {group["intermediate"]: group for group in found["intermediates"]}
    without = groups.get(None)
    for name, group in groups.items():
        for task, num in group["collapsed"].items() if name is not None else ():
            before = without["collapsed"].get(task, 0) if without else 0
            of = without["num_trials"] if without else 0
            if not of or num * of > before * group["num_trials"]:
                beside = f", without intermediate training in {before} of {of}" if of else ""
                yield (
                    f"After {group['label']}, {task} collapsed in {num} of {group['num_trials']} "
                    f"trials{beside}."
                )


def _selected(found: Json) -> Iterator[str]:
    """The best trial's verdicts by language, and how little they are worth."""
    cells = found["verdicts"]
    if cells:
        num = max(cell["num_seeds"] for cell in cells)
        seeds = "and with one seed" if num == 1 else f"and over {num} seeds"
        yield f"By language, on the rows that chose the trial {seeds}: {calls(cells)}."
        yield from meaning(cells)


def _losers(found: Json) -> str:
    cells = [c for c in found["languages"] if not c["is_source"] and c["difference"] is not None]
    lost = sorted((c for c in cells if c["difference"] < 0), key=lambda c: c["difference"])
    if not lost:
        return f"No language loses (of {len(cells)} scores in zero-shot languages)."
    named = [f"{c['task']} {c['language']} {points(c['difference'])}" for c in lost[:8]]
    more = f" and {len(lost) - 8} more" if len(lost) > 8 else ""
    return f"Languages that lose: {', '.join(named)}{more} (of {len(cells)} scores)."


def _retrained(found: Json) -> Iterator[str]:
    for retrain in found["retrains"]:
        gain = retrain["gain"]
        if gain is None:
            continue
        seeds = f"{gain['num_first']} fresh seed{'s' if gain['num_first'] > 1 else ''}"
        yield (
            f"Retrained as {retrain['name']!r} with {seeds} on the test split: "
            f"{points(gain['mean'])} points over its baseline{over_seeds(gain)}."
        )
        yield from without_collapsed(gain)
        yield from failed(retrain["num_failed"])
        if twin := retrain["gain_over_twin"]:
            yield (
                f"Against the same target phases without the intermediate phase, the gain is "
                f"{points(twin['mean'])} points{over_seeds(twin)}."
            )
            yield from without_collapsed(twin)
        if retrain["languages"]:
            told = calls(retrain["languages"])
            yield f"By language, on test rows with {seeds}: {told}."
            yield from meaning(retrain["languages"])


def over_seeds(gain: Json) -> str:
    """What stands behind a gain over seeds: its interval, and how many of its runs collapsed."""
    parts = []
    if gain["low"] is not None:
        told = "" if gain["excludes_zero"] else ", not significant"
        parts.append(f"95 % interval {points(gain['low'])} to {points(gain['high'])}{told}")
        if gain["is_paired"]:
            parts.append(f"paired by seed, ± {percent(gain['std'])} over the seeds")
    if gain["collapsed_first"] or gain["collapsed_second"]:
        parts.append(collapsed_runs(gain))
    return f" ({'; '.join(parts)})" if parts else ""


def collapsed_runs(gain: Json) -> str:
    """`1 of 5 seeds collapsed, 0 of 5 beside it`."""
    return (
        f"{gain['collapsed_first']} of {gain['num_first']} seeds collapsed, "
        f"{gain['collapsed_second']} of {gain['num_second']} beside it"
    )


def collapsed_seeds(row: Json, task: str) -> str:
    """`2 of 3 collapsed`, of one target in a row of the table of gains; nothing where none did."""
    num = row["collapsed"].get(task)
    return f"{num} of {row['num_seeds']} collapsed" if num else ""


def collapsed_baselines(gains: Json, task: str) -> str:
    """The same of the baseline that the table of gains is against."""
    row = {"collapsed": gains["baseline_collapsed"], "num_seeds": gains["baseline_seeds"]}
    return collapsed_seeds(row, task)


def without_collapsed(gain: Json) -> Iterator[str]:
    """The second number, by its name, where some seeds collapsed and some did not."""
    if sound := gain["sound"]:
        num = f"{sound['num']} seed{'s' if sound['num'] > 1 else ''}"
        yield f"Without the seeds that collapsed, it is {points(sound['mean'])} points over {num}."


def failed(num_failed: Mapping[str, int]) -> Iterator[str]:
    """Seeds that diverged are in no mean: how many, by role."""
    named = [f"{num} of its {role}'s" for role, num in num_failed.items() if num]
    if named:
        yield f"These seeds diverged and have no score: {', '.join(named)}."


def _truncated(found: Json) -> Iterator[str]:
    """Rows that lost tokens to `max_length`, for tasks that lose any: where it costs the most."""
    by_task: dict[str, list[Json]] = {}
    for cell in found["languages"]:
        if cell["num_rows"]:
            by_task.setdefault(cell["task"], []).append(cell)
    for task, cells in by_task.items():
        lost = sum(cell["num_truncated"] for cell in cells)
        if not lost:
            continue
        worst = max(cells, key=lambda cell: cell["num_truncated"] / cell["num_rows"])
        length = found["protocol"][task]["max_length"]
        yield (
            f"Cut to max_length ({length} tokens): {lost} of the "
            f"{sum(cell['num_rows'] for cell in cells)} scored rows of {task}, most in "
            f"{worst['language']} ({worst['num_truncated']} of {worst['num_rows']})."
        )


def _no_signal(found: Json) -> Iterator[str]:
    """Targets at chance in the source language, or collapsed, in every trial: nothing can be read
    from them."""
    scored = [t for t in found["trials"] if t["state"] == "scored" and t["scores"]]
    tasks = dict.fromkeys(task for trial in scored for task in trial["scores"])
    marks = {task: {t["marks"].get(task) for t in scored} for task in tasks}
    silent = [task for task in tasks if marks[task] == {"no signal"}]
    if silent:
        yield (
            f"No signal in {', '.join(silent)}: every trial is at chance there, so differences "
            "are noise."
        )
    lost = [t for t in tasks if t not in silent and marks[t] <= {"no signal", "collapsed"}]
    if lost:
        yield (
            f"No trial learned {', '.join(lost)}: each collapsed or stayed at chance, so "
            "differences there are noise."
        )


def _cautions(found: Json) -> Iterator[str]:
    selection = found["selection"]
    if found["best"] is not None and found["state"] == "finished" and not found["retrains"]:
        num = len(found["ranked"])
        yield (
            f"This score is optimistic: the same rows chose the best of {num} trials. Run "
            "`retrain` to measure it on test rows with fresh seeds."
        )
    for other in selection["other_rules"]:
        if found["best"] is not None and other["number"] == found["best"]["number"]:
            yield f"The rule {other['rule']} would choose the same trial."
        elif found["best"] is not None:
            yield (
                f"The rule {other['rule']} would choose trial {other['number']} ({other['name']}) "
                f"instead, with a zero-shot mean of {percent(other['zero_shot_mean'])} % "
                f"({points(other['zero_shot_mean'] - found['best_mean'])} points)."
            )
    if selection["left_out"]:
        yield (
            f"The rule {selection['rule']} finds no rows in {', '.join(selection['left_out'])}; "
            "these targets do not affect the selection."
        )
    yield from seen_rows(selection["seen_test_rows"])
    unscored: dict[str, list[str]] = {}
    for task, languages in found["unscored_languages"].items():
        unscored.setdefault(", ".join(languages), []).append(task)
    for names, tasks in unscored.items():
        yield f"The rule {selection['rule']} finds no rows in {names} (for {', '.join(tasks)})."
    yield from _no_signal(found)
    yield from _truncated(found)
    rates = [
        f"{rate['rate']:g} ({role}): {rate['collapsed']:.0%} of {rate['num']}"
        for role, group in found["learning_rates"].items()
        for rate in group
        if rate["collapsed"]
    ]
    if rates:
        yield (
            f"Share of runs that collapsed, by learning rate: {'; '.join(rates)}. They count in "
            "every mean with their true scores."
        )
    if halved := found["half_rates"]:
        named = ", ".join(f"trial {one['number']} ({', '.join(one['phases'])})" for one in halved)
        yield f"These phases diverged and were trained again at half the planned rate: {named}."
    if flat := found["flat_intermediates"]:
        named = ", ".join(f"{one['label']} at {one['learning_rate']:g}" for one in flat)
        yield f"The loss of these intermediate phases did not fall; they taught nothing: {named}."
    for task, names in found["protocol_differences"].items():
        yield f"Scores on {task} are not comparable between trials: {', '.join(names)} differ."
