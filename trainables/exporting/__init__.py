"""What leaves the program: model folders, predictions for new rows, submissions to XTREME."""
