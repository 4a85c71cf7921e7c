"""Commands that look at the labels of the data."""
