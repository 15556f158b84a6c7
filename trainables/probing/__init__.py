"""What a frozen encoder already knows of a task."""
