"""The baseline for texts, which a neural network must beat: logistic regression on the n-grams that a text contains.

N-grams of tokens are hashed to the rows of a table of fixed size (Weinberger et al. 2009, arXiv:0902.2206). They are
weighted by TF-IDF, and a text's weights are scaled to length 1, so that a long text weighs no more than a short one.
"""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.config.networks import LinearConfig
from pipeline.examples.batch import PAD, Batch
from pipeline.examples.inputs import Texts
from pipeline.layers.embedding import Embed


def build(config: LinearConfig, inputs: Texts, outputs: int, *, rngs: nnx.Rngs) -> "Linear":
    return Linear(config, outputs, rngs=rngs)


class InverseDocumentFrequency(nnx.Variable):
    """Measured, not trained."""


class Linear(nnx.Module):
    def __init__(self, config: LinearConfig, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.max_n, self.buckets = config.ngrams, config.buckets
        self.weights = Embed(config.buckets, outputs, scale=0.0, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.idf = InverseDocumentFrequency(jnp.ones(config.buckets))

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b k"]:
        rows, x = self.tfidf(tokens)  # b n, b n
        return (self.weights(rows) * x[..., None]).sum(1) + self.bias[...][None]  # b k

    def tfidf(self, tokens: Int[Array, "b t"]) -> tuple[Int[Array, "b n"], Float[Array, "b n"]]:
        """The buckets of each text's n-grams, and their weights, whose squares add up to 1. A bucket that occurs twice
        counts in its first place.
        """
        rows, counts = ngrams(tokens, self.max_n, self.buckets)
        tf = jnp.where(counts > 0, 1 + jnp.log(jnp.maximum(counts, 1)), 0)  # b n
        x = tf * self.idf[...][rows]  # b n
        return rows, x / jnp.sqrt(jnp.maximum((x * x).sum(1, keepdims=True), 1e-12))

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Sets the inverse document frequencies to those of these texts, the training split."""
        texts, containing = jnp.zeros((), jnp.int32), jnp.zeros(self.buckets, jnp.int32)
        for batch in batches:
            texts, containing = texts + batch.valid.sum(), _count(containing, batch.inputs, self.max_n)
        self.idf[...] = inverse_document_frequency(texts, containing)


@partial(jax.jit, static_argnums=2)
def _count(containing: Int[Array, " r"], tokens: Int[Array, "b t"], max_n: int) -> Int[Array, " r"]:
    """`containing` and, for each bucket, the number of these texts that contain it."""
    rows, counts = ngrams(tokens, max_n, len(containing))
    return containing.at[rows].add(counts > 0)


def inverse_document_frequency(texts: Int[Array, ""], containing: Int[Array, " r"]) -> Float[Array, " r"]:
    """As scikit-learn's TfidfTransformer: ln((1 + texts) / (1 + containing)) + 1.

    What no text of the training split contains weighs nothing: it would only make the weights of the others smaller.
    """
    return jnp.where(containing > 0, jnp.log((1 + texts) / (1 + containing)) + 1, 0)


def ngrams(tokens: Int[Array, "b t"], max_n: int, buckets: int) -> tuple[Int[Array, "b n"], Int[Array, "b n"]]:
    """The bucket of each n-gram of up to `max_n` tokens, sorted, and how often the text has this bucket: 0 where the
    n-gram holds padding or is not the first of its bucket.
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
    places = jnp.arange(rows.shape[1])[None]  # 1 n
    # The next first place after each place: the last one is after the end.
    later = jnp.pad(jnp.where(first, places, rows.shape[1])[:, 1:], ((0, 0), (0, 1)), constant_values=rows.shape[1])
    following = jax.lax.cummin(later, axis=1, reverse=True)  # b n
    counts = jnp.where(first & (rows < buckets), following - places, 0)
    return jnp.minimum(rows, buckets - 1), counts
