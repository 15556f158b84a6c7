"""The store of entries that wait for a server that may be away."""
