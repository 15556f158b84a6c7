"""The store of trained phases by content key, in a folder or on an object store."""
