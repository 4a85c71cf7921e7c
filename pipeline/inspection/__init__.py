"""What data is like: which section of params.yaml fits a source, and what the prepared tables hold."""
