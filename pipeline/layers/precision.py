"""Where a formulation is for a GPU in half precision alone."""

import jax
import jax.numpy as jnp


def half_on_gpu(dtype: jax.typing.DTypeLike) -> bool:
    """Whether arrays of this type are bfloat16 on a GPU. Elsewhere every layer computes as it does on a CPU."""
    return jnp.dtype(dtype) == jnp.bfloat16 and jax.default_backend() == "gpu"
