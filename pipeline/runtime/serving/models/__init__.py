"""The models that are served, their batches, and the processes and threads that run them."""
