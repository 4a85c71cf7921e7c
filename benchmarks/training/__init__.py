"""Training steps, checkpoints and what an interruption costs."""
