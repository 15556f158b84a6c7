"""How scores, differences and durations are written: the report, the terminal and cards share it.
Pure."""

from search.stats.intervals import Interval
from search.stats.significance import Difference
from spaces.study_file.sections import Objective

HOURS = (Objective.HOURS, Objective.GPU_HOURS)


def percent(value: float | None) -> str:
    """0.613 as `61.3`."""
    return "–" if value is None else f"{100 * value:.1f}".replace("-", "−")


def points(value: float | None) -> str:
    """A difference of scores, with its sign: 0.013 as `+1.3`."""
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}"
    return "0.0" if text[1:] == "0.0" else text.replace("-", "−")


def spread(over_seeds: Interval | None) -> str:
    """A mean and its standard deviation over the seeds: `61.3 ± 0.8`; one seed has none."""
    if over_seeds is None:
        return ""
    std = "" if over_seeds.std is None else f" ± {percent(over_seeds.std)}"
    return f"{percent(over_seeds.mean)}{std}"


def between(difference: Difference) -> str:
    """A difference with its interval: `+3.1 (+0.4 to +5.8)`."""
    low, high = points(difference.low), points(difference.high)
    return f"{points(difference.mean)} ({low} to {high})"


def rate(value: float) -> str:
    """A learning rate: 2e-05 as `2e-5`."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def value_text(name: str, value: float) -> str:
    """The value of an objective: a score as a percentage, a cost in hours."""
    return f"{value:.3g} h" if name in HOURS else percent(value)


def shortened(text: str, limit: int) -> str:
    """The text in at most `limit` characters, its end left out where it has more."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
