"""Scores, outcomes of rows, objectives and metrics. Nothing here needs torch."""
