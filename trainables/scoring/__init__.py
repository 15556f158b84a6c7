"""Scores, outcomes of rows, objectives and metrics; nothing here needs torch."""
