"""Keeps on disk what a server that may be away has not received yet."""
