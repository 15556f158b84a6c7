"""How a driver that is going away asks its trials, wherever they run, to save and to end."""

from dataclasses import dataclass
from pathlib import Path


class DrainedError(Exception):
    """The phase was saved half-way (or not begun), since its driver is going away."""


@dataclass(frozen=True, slots=True)
class DrainMark:
    """A file of one driver, in the home folder that every node sees: empty while it goes on.

    It is there from the start and written in place: network file systems look at a file again
    when it is opened, but may take half a minute to see a new one.
    """

    path: Path

    def make(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def set(self) -> None:
        """Ask for the end. Where the folder is gone there is nobody to ask."""
        if self.path.exists():
            self.path.write_text("drain")

    def is_set(self) -> bool:
        try:
            return bool(self.path.read_text())
        except FileNotFoundError:
            return False
