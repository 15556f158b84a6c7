"""Phases by content key, in a folder or on an object store."""
