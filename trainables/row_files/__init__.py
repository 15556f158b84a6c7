"""Text files of rows as others write them: CSV, TSV, CoNLL and CoNLL-U, and their columns."""
