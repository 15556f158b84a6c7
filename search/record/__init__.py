"""Writes the record of a study to MLflow and reads it back."""
