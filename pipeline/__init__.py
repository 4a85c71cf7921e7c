"""From raw data to a deployed model. Importing this package fixes what decides the last bits of a result on a CPU."""

import os

# XLA sizes its CPU thread pool by NPROC, and a pool of one sums in another order than a larger one does: with at
# least two, a container limited to one core gives the same bits as the whole machine. It must be set before jax loads.
os.environ.setdefault("NPROC", str(max(2, os.cpu_count() or 1)))
