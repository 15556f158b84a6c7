"""What MLflow keeps of a study, written and read back; the only room that knows MLflow."""
