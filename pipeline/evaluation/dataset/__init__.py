"""What the examples of a split are like, and whether the splits are alike."""
