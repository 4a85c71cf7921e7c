"""What every process of this project sets before its libraries load: what XLA and Pillow read from the process."""

import os
import warnings

DETERMINISTIC = "--xla_gpu_deterministic_ops"


def set_up() -> None:
    """Call this in the main thread, before anything imports jax. Variables that are already set keep their values."""
    # XLA sizes its CPU thread pool by NPROC, and a pool of one thread sums in another order than a larger one: with at
    # least two, a container limited to one core gives the same bits as the whole machine.
    os.environ.setdefault("NPROC", str(max(2, os.cpu_count() or 1)))
    # On a GPU, some sums are otherwise computed in the order in which threads finish.
    if DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}=true".strip()
    # JAX would reserve three quarters of a GPU's memory at once, and leave none to a second process on the card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Pillow warns about damaged metadata, which does no harm. Filters are shared by all threads: set once, here.
    warnings.filterwarnings("ignore", module="PIL")
