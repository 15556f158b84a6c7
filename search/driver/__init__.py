"""Runs one study from its file to its end."""
