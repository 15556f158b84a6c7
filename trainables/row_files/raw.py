"""Raw rows as users write them: one JSON object per line, and the text that no row may hold."""

import json
from collections.abc import Mapping
from typing import Any

from spaces.refusal import Refusal, shown

BOM = "\ufeff"  # Windows' programs write it before the first character of a UTF-8 file


def json_object(line: str, name: str) -> dict[str, Any]:
    """The object in a line of JSON; a byte-order mark before it is skipped. Raises Refusal, which
    starts with `name` (`line 3`), where there is none."""
    try:
        row = json.loads(line.lstrip(BOM))
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error}"
    except RecursionError:
        reason = "is not JSON that can be read: its brackets are nested too deeply"
    except ValueError:
        reason = "is not JSON that can be read: a number has thousands of digits"
    else:
        if isinstance(row, dict):
            return row
        raise Refusal(f"{name} is {shown(line.strip()[:40])}; expected a JSON object of columns")
    raise Refusal(f"{name} {reason}; expected one object per line") from None


def half_pair(row: Mapping[Any, Any]) -> str | None:
    """What to say of a row with half of a surrogate pair in a column, at any depth; None for a row
    without. JSON can write such a half (`\\ud83d`), but it is no character: no tokenizer reads it,
    and no file can store it."""
    for column, value in row.items():
        left = [column, value]
        while left:
            item = left.pop()
            if isinstance(item, str):
                place = _half_in(item)
                if place is not None:
                    around = shown(item[max(place - 20, 0) : place + 1])
                    return (
                        f"column {shown(column)} holds half of a surrogate pair at character "
                        f"{place} ({around}); write the whole character, or U+FFFD in its place"
                    )
            elif isinstance(item, Mapping):
                left += [*item.keys(), *item.values()]
            elif isinstance(item, list | tuple):
                left += item
    return None


def _half_in(text: str) -> int | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None
