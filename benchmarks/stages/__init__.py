"""What DVC and a command line add to the work: a run in which nothing changed, each stage by itself, and its start."""
