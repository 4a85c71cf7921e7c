"""One file for each format; the union of all is in pipeline/readers/__init__.py."""
