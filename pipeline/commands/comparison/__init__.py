"""python -m pipeline compare."""
