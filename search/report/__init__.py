"""What the record says, in numbers, sentences, tables and figures."""
