"""The embedded benchmark, made from the words that CLDR has for twelve languages."""
