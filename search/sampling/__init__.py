"""Which trial comes next; the only room that knows Optuna."""
