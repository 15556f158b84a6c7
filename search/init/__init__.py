"""Writes the study file of a folder of rows: reads the rows and guesses what task they are."""
