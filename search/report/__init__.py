"""The report of a study from its record: numbers, sentences, tables and figures."""
