"""How numbers, tables and progress look on a terminal."""
