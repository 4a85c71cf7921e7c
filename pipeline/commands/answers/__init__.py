"""What `predict` prints: labelled inputs, rated texts and continued ones."""
