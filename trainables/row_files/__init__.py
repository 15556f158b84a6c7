"""The rows of single files (JSONL, Parquet, CSV, CoNLL), and their columns by our names."""
