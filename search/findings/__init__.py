"""What a study found, as values, from its record alone."""
