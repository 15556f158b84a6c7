"""The embedded benchmark, made of the words that CLDR has for twelve languages."""
