"""What in an input spoke for an answer, by the package alone."""
