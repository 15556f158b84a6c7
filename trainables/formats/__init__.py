"""One module a task kind: how its examples are encoded, predicted and judged."""
