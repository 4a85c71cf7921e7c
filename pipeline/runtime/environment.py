"""What decides the last bits of a result outside the code: XLA reads it from the environment once, when jax loads."""

import os

DETERMINISTIC = "--xla_gpu_deterministic_ops"


def set_up() -> None:
    """Call this before anything imports jax. What the environment already says is kept."""
    # XLA sizes its CPU thread pool by NPROC, and a pool of one sums in another order than a larger one does: with at
    # least two, a container limited to one core gives the same bits as the whole machine.
    os.environ.setdefault("NPROC", str(max(2, os.cpu_count() or 1)))
    # On a GPU some sums are otherwise taken in the order in which threads happen to end.
    if DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}=true".strip()
    # JAX would take three quarters of a GPU's memory at once, and a second process on the card would find none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
