"""What leaves the program: a model folder, answers to rows, a submission to XTREME."""
