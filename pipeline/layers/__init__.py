"""What networks are built of, with gradients that are fast on a CPU."""
