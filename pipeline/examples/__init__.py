"""Examples as arrays: what a model's inputs are, how batches are gathered, augmented and scored.

Nothing here knows of models or of kinds of task.
"""
