"""Runs trials on a local Ray or a cluster: capacity, jobs and Kubernetes objects."""
