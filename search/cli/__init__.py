"""Parse a command line, call one function, print what came of it."""
