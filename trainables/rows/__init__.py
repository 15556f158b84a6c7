"""The rows of tasks: read from the hub, from folders or from the pocket benchmark, and checked."""
