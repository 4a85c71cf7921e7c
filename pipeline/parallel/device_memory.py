"""The memory of the device that trains."""

import jax
import psutil


def available() -> float:
    """Bytes that the device here has for training."""
    stats = jax.local_devices()[0].memory_stats()
    return float(stats["bytes_limit"]) if stats else float(psutil.virtual_memory().available)
