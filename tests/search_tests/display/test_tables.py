from rich.console import Console

from search.display.tables import titled_table


def test_titles_are_text_and_not_markup() -> None:
    console = Console(width=60)
    table = titled_table("Study [red]", caption="of [all]")
    table.add_column("head")
    table.add_row("a cell that is wider than both titles")
    with console.capture() as shown:
        console.print(table)
    lines = [line.strip() for line in shown.get().splitlines()]
    assert lines[0] == "Study [red]"
    assert lines[-1] == "of [all]"
    assert "head" in lines
