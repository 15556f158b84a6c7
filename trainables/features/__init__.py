"""Rows tokenised once and memory-mapped."""
