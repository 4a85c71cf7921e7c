"""Every test runs strictly: broadcasting must be spelled out."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
