"""How a study looks in MLflow's own UI: its saved view, the link to it, the UI on this machine."""
