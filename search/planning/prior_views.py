"""The priors on a terminal and in a sentence: what looked promising, and how right that was."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.planning.priors import KINDS, Hindsight, Priors

FEW = 10  # options: fewer say little, whatever the correlation


def show_priors(priors: Priors, console: Console, *, is_used: bool) -> None:
    """Every option with its estimates and its rank by each, the most promising first."""
    table = Table(
        *("", "option", "mean rank", *(f"{kind} (rank)" for kind in KINDS)),
        title=Text("Intermediate options as the frozen encoder sees them"),
        title_justify="left",
        box=None,
    )
    for option in priors.options:
        cells = (
            f"{_number(option.estimate(kind))}{_rank(option.ranks.get(kind))}" for kind in KINDS
        )
        table.add_row(str(option.place), Text(option.option), f"{option.rank:.1f}", *cells)
    console.print(table)
    first = ", ".join(str(params["intermediate"]) for params in priors.first) or "none"
    use = f"tried first, after the baselines and the points: {first}"
    if not is_used:
        use = f"not used: [study] priors is false; with true these would be tried first: {first}"
    for line in (*priors.notes, use):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def prior_sentences(priors: Hindsight | None) -> Iterator[str]:
    """How right the order was, and how little that means; nothing where nothing was ranked."""
    if priors is None:
        return
    count, num_options, agreement = priors.num_tried, len(priors.options), priors.mean
    if agreement is None:
        yield (
            f"The priors cannot be judged: {count} of {num_options} options have a score, and "
            "it takes three that differ."
        )
        return
    few = "with so few options this says little, and " if count < FEW else ""
    yield (
        f"The priors' order of {count} of {num_options} options has a rank correlation of "
        f"{agreement.correlation:+.2f} with the mean objective of each (by chance as high or "
        f"higher in {agreement.chance:.0%} of all orders); {few}the options were not tried at the "
        "same learning rates."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _rank(rank: float | None) -> str:
    return "" if rank is None else f" ({rank:g})"
