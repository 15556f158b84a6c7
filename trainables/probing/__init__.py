"""What a frozen encoder already knows about a task."""
