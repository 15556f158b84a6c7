"""The result of a study at a glance: a verdict, the best plans, who gains, what to do next."""
