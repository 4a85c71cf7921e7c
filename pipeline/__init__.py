"""From raw data to a deployed model, every stage reproducible. Start with `python -m pipeline --help`."""
