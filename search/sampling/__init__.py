"""Chooses the next trial; the only room that imports Optuna."""
