"""The examples of a task, a language and a split, wherever they lie."""
