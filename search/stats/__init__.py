"""Intervals, tests and shrunken means of plain numbers."""
