"""Verdicts by language and gains over seeds, in sentences. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from search.display.number_format import percent, points
from search.trials.gains import SeedGain
from search.trials.language_verdicts import Call, LanguageVerdict

MAX_NAMED = 8
MEANING = (
    "Better and worse mean p < 0.05, adjusted for the number of languages of the target (Holm). "
    "The intervals are not adjusted. A tie means that the difference is not significant."
)
ONE_SEED = "These verdicts compare one seed per side. Another seed could reverse them."


def meaning(cells: Sequence[LanguageVerdict]) -> list[str]:
    """What the verdicts mean, in sentences; nothing where there are none."""
    if not cells:
        return []
    one_seed = [ONE_SEED] if any(cell.num_seeds == 1 for cell in cells) else []
    return [MEANING, *over_all_cells(cells), *one_seed]


def over_all_cells(cells: Sequence[LanguageVerdict]) -> Iterator[str]:
    """How many calls stay significant when they are adjusted for all targets together. Adjusted by
    target, a single target has a false call in one of twenty reports, and nine targets have one in
    more than a third. Nothing for a single target, or where each language is a tie."""
    named = [c for c in cells if c.call is not Call.TIE and c.adjusted_all is not None]
    tasks = {cell.task for cell in cells}
    if len(tasks) < 2 or not named:
        return
    held = [c for c in named if c.adjusted_all is not None and c.adjusted_all < 0.05]
    yield (
        f"Adjusted for all {len(cells)} cells of the {len(tasks)} targets together, "
        f"{len(held)} of these {len(named)} calls stay significant."
    )


def calls(cells: Sequence[LanguageVerdict]) -> str:
    """How many languages are better, worse and tied, the first two by name."""
    parts = []
    for call in (Call.BETTER, Call.WORSE):
        named = [f"{c.task} {c.language} {points(c.mean)}" for c in cells if c.call is call]
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        listed = f" ({', '.join(named[:MAX_NAMED])}{more})" if named else ""
        parts.append(f"{call} in {len(named)}{listed}")
    return f"{', '.join(parts)}, tie in {sum(c.call is Call.TIE for c in cells)} of {len(cells)}"


def seen_rows(seen: Mapping[str, Sequence[str]], *, part: str = "the") -> Iterator[str]:
    """One sentence on the test rows that selection has seen, by target and language, if any;
    `part` says which part of them."""
    if seen:
        named = [f"{task} ({' '.join(languages)})" for task, languages in seen.items()]
        yield (
            f"Selection used {part} test rows of {', '.join(named)}. The benchmark has only one "
            "evaluation split there, and this study takes it whole."
        )


def over_seeds(gain: SeedGain) -> str:
    """The interval of a gain over seeds, and how many of its runs collapsed, in brackets."""
    parts = []
    if gain.low is not None:
        significance = "" if gain.excludes_zero else ", not significant"
        parts.append(f"95 % interval {points(gain.low)} to {points(gain.high)}{significance}")
        if gain.is_paired:
            parts.append(f"paired by seed, ± {percent(gain.std)} over the seeds")
    if gain.collapsed_first or gain.collapsed_second:
        parts.append(collapsed_runs(gain))
    return f" ({'; '.join(parts)})" if parts else ""


def collapsed_runs(gain: SeedGain) -> str:
    """`1 of 5 seeds collapsed, 0 of 5 beside it`."""
    return (
        f"{gain.collapsed_first} of {gain.num_first} seeds collapsed, "
        f"{gain.collapsed_second} of {gain.num_second} beside it"
    )


def without_collapsed(gain: SeedGain) -> Iterator[str]:
    """The gain without collapsed seeds, where some seeds collapsed and some did not."""
    if sound := gain.sound:
        num = f"{sound.num} seed{'s' if sound.num > 1 else ''}"
        yield f"Without the seeds that collapsed, it is {points(sound.mean)} points over {num}."
