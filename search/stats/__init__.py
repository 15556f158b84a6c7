"""Computes intervals, tests and shrunken means of plain numbers."""
