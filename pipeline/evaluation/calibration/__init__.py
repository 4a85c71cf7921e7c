"""Whether probabilities are what they say: fitted on the validation split, measured on the test splits."""
