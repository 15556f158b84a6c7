"""Class labels of `datasets`: numbers in the rows, and their names in the features."""

from typing import Any


def with_names(rows: list[dict[str, Any]], features: Any) -> list[dict[str, Any]]:
    """The rows with class labels (single ones or lists) replaced by their names; a hidden label
    (-1) becomes None."""
    from datasets import ClassLabel

    for column, kind in (features or {}).items():
        inner = getattr(kind, "feature", kind)
        if not isinstance(inner, ClassLabel):
            continue
        names = inner.names
        for row in rows:
            value = row[column]
            if isinstance(value, list):
                row[column] = [_name(item, names) for item in value]
            else:
                row[column] = _name(value, names)
    return rows


def _name(value: int | None, names: list[str]) -> str | None:
    if value is None or value == -1:
        return None
    return names[value] if 0 <= value < len(names) else str(value)
