"""From raw data to a deployed model. Importing this package fixes what decides the last bits of a result.

Here and nowhere else: what XLA reads from the environment, which must be set before jax loads.
"""

import os
import signal
import sys
from types import FrameType

# Noted as early as can be: should it end while the rest is imported, the process would know of no parent but init.
STARTED_BY = os.getppid()

# XLA sizes its CPU thread pool by NPROC, and a pool of one sums in another order than a larger one does: with at
# least two, a container limited to one core gives the same bits as the whole machine.
os.environ.setdefault("NPROC", str(max(2, os.cpu_count() or 1)))

# On a GPU some sums are otherwise taken in the order in which threads happen to end.
DETERMINISTIC = "--xla_gpu_deterministic_ops"
if DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}=true".strip()

# JAX would take three quarters of a GPU's memory at once, and a second process on the card would find none.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _stopped(number: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped: the same command starts it again\n")
    os._exit(128 + number)


# A command loads libraries for seconds before `errors.run` sees to ctrl-C: until then it would end in a traceback.
if sys.argv[0] == "-m":  # so while `python -m pipeline.train` looks for the module
    signal.signal(signal.SIGINT, _stopped)
