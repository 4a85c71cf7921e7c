"""params.yaml, typed, and the paths that stages write to."""
