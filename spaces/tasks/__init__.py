"""What a task is, where its rows lie, and the tasks that this package ships."""
