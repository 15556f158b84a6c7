"""DrainMark: tells trials on any node that their driver is stopping, so that they save and end."""

from dataclasses import dataclass
from pathlib import Path


class DrainedError(Exception):
    """The phase was saved before its end (or not started), because its driver is stopping."""


@dataclass(frozen=True, slots=True)
class DrainMark:
    """A file of one driver in the home folder, which every node sees. It is empty while the driver
    runs.

    It exists from the start and is written in place: network file systems check a file again when
    it is opened, but may take half a minute to show a new one.
    """

    path: Path

    def make(self) -> None:
        """Create the empty file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("")

    def set(self) -> None:
        """Ask the trials to save and end. Nothing is done where the folder is gone, because no
        trial is left then."""
        if self.path.exists():
            self.path.write_text("drain")

    def is_set(self) -> bool:
        """Whether the driver is stopping."""
        try:
            return bool(self.path.read_text())
        except FileNotFoundError:
            return False
