"""Bidirectional recurrent layers: LSTM (Hochreiter and Schmidhuber 1997) or GRU (Cho et al. 2014, arXiv:1406.1078).
For tagging, each word's vector also encodes its characters (as Ma and Hovy 2016, arXiv:1603.01354, but only those at
its two ends).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from pipeline.config.networks import LSTMConfig
from pipeline.examples.batch import PAD, ModelInputs, Words
from pipeline.examples.inputs import Sentences, Texts
from pipeline.layers.recurrent import gru, init_recurrent, lstm
from pipeline.layers.token_vectors import TokenVectors


def build(config: LSTMConfig, inputs: Texts | Sentences, outputs: int, *, rngs: nnx.Rngs) -> "LSTM":
    return LSTM(config, inputs, outputs, rngs=rngs)


class LSTM(nnx.Module):
    def __init__(self, config: LSTMConfig, inputs: Texts | Sentences, outputs: int, *, rngs: nnx.Rngs) -> None:
        # A rare token may decide the class of a whole text: what its vector learns in a few steps must not drown in the
        # random values that it started with.
        scale = 0.1 if inputs.per_token else 0.01
        self.vectors = TokenVectors(inputs, config.width, token_dropout=config.token_dropout, scale=scale, rngs=rngs)
        width, layers = self.vectors.width, []
        for _ in range(config.layers):
            layers.append(Bidirectional(config.cell, width, config.hidden, rngs=rngs))
            width = 2 * config.hidden
        self.layers = nnx.List(layers)
        self.dropout = nnx.Dropout(config.dropout)
        self.attention = nnx.data(None if inputs.per_token else nnx.Linear(width, 1, rngs=rngs))
        self.head = nnx.Linear(width if inputs.per_token else 3 * width, outputs, rngs=rngs)

    def __call__(
        self, inputs: ModelInputs, *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b *t k"]:
        tokens = inputs.words if isinstance(inputs, Words) else inputs
        real = tokens != PAD  # b t
        lengths = real.sum(1)  # b
        x = self.vectors(inputs, training=training, rngs=rngs)  # b t d
        for layer in self.layers:
            x = layer(self.dropout(x, deterministic=not training, rngs=rngs), lengths)
        if self.attention is not None:
            x = pool(x, self.attention(x), real[..., None])  # b 3d
        return self.head(self.dropout(x, deterministic=not training, rngs=rngs))


class Bidirectional(nnx.Module):
    """Two recurrent layers, one reads forward, one backward: a token's meaning may depend on what follows it."""

    def __init__(self, cell: str, width: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.forward, self.backward = (Recurrent(cell, width, hidden, rngs=rngs) for _ in range(2))

    def __call__(self, x: Float[Array, "b t d"], lengths: Int[Array, " b"]) -> Float[Array, "b t h2"]:
        return jnp.concatenate([self.forward(x, lengths), self.backward(x, lengths, reverse=True)], axis=2)


class Recurrent(nnx.Module):
    def __init__(self, cell: str, width: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.cell, gates = cell, {"lstm": 4, "gru": 3}[cell]
        self.kernel = nnx.Param(nnx.initializers.glorot_uniform()(rngs.params(), (width, gates * hidden)))
        self.recurrent = nnx.Param(init_recurrent(rngs, hidden, gates=gates))
        self.bias = nnx.Param(jnp.zeros(gates * hidden))
        self.recurrent_bias = nnx.data(nnx.Param(jnp.zeros(gates * hidden)) if cell == "gru" else None)

    def __call__(
        self, x: Float[Array, "b t d"], lengths: Int[Array, " b"], *, reverse: bool = False
    ) -> Float[Array, "b t h"]:
        kernel, recurrent, bias = self.kernel[...], self.recurrent[...], self.bias[...]
        if self.recurrent_bias is None:
            return lstm(x, lengths, kernel, recurrent, bias, reverse=reverse)
        return gru(x, lengths, kernel, recurrent, bias, self.recurrent_bias[...], reverse=reverse)


def pool(x: Float[Array, "b t d"], scores: Float[Array, "b t 1"], real: Bool[Array, "b t 1"]) -> Float[Array, "b d3"]:
    """Maximum, mean and attention-weighted mean over a text's tokens, without padding. Attention weighs a token by the
    softmax of its score (Yang et al. 2016, "Hierarchical attention networks", where a small network gives the score).
    """
    mean = jnp.sum(x, axis=1, where=real) / jnp.maximum(real.sum(1), 1)  # b d
    top = jnp.max(x, axis=1, where=real, initial=-1.0)  # b d: a state lies between -1 and 1
    weights = jax.nn.softmax(jnp.where(real, scores, -1e9), axis=1)  # b t 1; not -inf: a text may be empty
    return jnp.concatenate([top, mean, jnp.sum(weights * x, axis=1, where=real)], axis=1)
