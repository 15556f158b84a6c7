"""A base encoder made from text."""
