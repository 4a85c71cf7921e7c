"""The baseline for texts, which a neural network must beat: a linear classifier on the n-grams that a text contains.

N-grams of tokens are hashed to the rows of a table of fixed size (Weinberger et al. 2009, arXiv:0902.2206). Each counts
once, however often it occurs (Wang and Manning 2012), and a long text weighs no more than a short one.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from pipeline.config.networks import LinearConfig
from pipeline.examples.batch import PAD
from pipeline.examples.inputs import Texts
from pipeline.layers.embedding import Embed


def build(config: LinearConfig, inputs: Texts, outputs: int, *, rngs: nnx.Rngs) -> "Linear":
    return Linear(config, outputs, rngs=rngs)


class Linear(nnx.Module):
    def __init__(self, config: LinearConfig, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.max_n, self.buckets = config.ngrams, config.buckets
        self.weights = Embed(config.buckets, outputs, scale=0.0, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b k"]:
        rows, counts = ngrams(tokens, self.max_n, self.buckets)  # b n, b n
        votes = self.weights(rows) * counts[..., None]  # b n k
        number = jnp.maximum(counts.sum(1, keepdims=True), 1).astype(jnp.float32)  # b 1
        return votes.sum(1) / jnp.sqrt(number) + self.bias[...][None]  # b k


def ngrams(tokens: Int[Array, "b t"], max_n: int, buckets: int) -> tuple[Int[Array, "b n"], Bool[Array, "b n"]]:
    """The bucket of each n-gram of up to `max_n` tokens, sorted, and whether it counts: if it holds no padding and is
    the first of its bucket.
    """
    hashed = jnp.zeros(tokens.shape, jnp.uint32)
    whole = jnp.ones(tokens.shape, bool)
    hashes, wholes = [], []
    for n in range(max_n):
        nth = jnp.pad(tokens[:, n:], ((0, 0), (0, n)))[:, : tokens.shape[1]]  # b t
        hashed = (hashed ^ nth.astype(jnp.uint32)) * jnp.uint32(0x9E3779B1)  # Knuth's multiplicative hashing
        hashed = hashed ^ (hashed >> 15)
        whole = whole & (nth != PAD)
        hashes.append(hashed % jnp.uint32(buckets))
        wholes.append(whole)
    rows = jnp.where(jnp.concatenate(wholes, 1), jnp.concatenate(hashes, 1).astype(jnp.int32), buckets)  # b n
    rows = jnp.sort(rows, axis=1)
    first = jnp.pad(rows[:, 1:] != rows[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    return jnp.minimum(rows, buckets - 1), first & (rows < buckets)
