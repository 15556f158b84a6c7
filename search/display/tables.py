"""How the report's tables look on a terminal."""

from rich import box
from rich.table import Table
from rich.text import Text


def titled_table(title: str, *, caption: str | None = None) -> Table:
    """An empty table with its title to the left and a line under its heads."""
    return Table(
        title=Text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption=None if caption is None else Text(caption),
    )
