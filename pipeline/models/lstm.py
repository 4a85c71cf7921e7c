"""Recurrent layers that read a text both ways: LSTM (Hochreiter and Schmidhuber 1997) or GRU (Cho et al. 2014,
arXiv:1406.1078). For tagging, each word's vector also holds its characters (as Ma and Hovy 2016, arXiv:1603.01354, but
by the characters at its ends).
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from pipeline.config.networks import LSTMConfig
from pipeline.layers.recurrent import gru, lstm
from pipeline.layers.token_vectors import TokenVectors
from pipeline.tasks import PAD, Inputs, SequenceTagging, TextClassification, Words

Share = Annotated[float, Field(ge=0, lt=1)]


def build(config: LSTMConfig, task: TextClassification | SequenceTagging, *, rngs: nnx.Rngs) -> "LSTM":
    return LSTM(config, task, rngs=rngs)


class LSTM(nnx.Module):
    def __init__(self, config: LSTMConfig, task: TextClassification | SequenceTagging, *, rngs: nnx.Rngs) -> None:
        per_token = isinstance(task, SequenceTagging)
        # Of a whole text a rare token may decide: what it learns in a few steps must not drown in what it started from.
        scale = 0.1 if per_token else 0.01
        self.vectors = TokenVectors(task, config.width, token_dropout=config.token_dropout, scale=scale, rngs=rngs)
        width, layers = self.vectors.width, []
        for _ in range(config.layers):
            layers.append(BothWays(config.cell, width, config.hidden, rngs=rngs))
            width = 2 * config.hidden
        self.layers = nnx.List(layers)
        self.dropout = nnx.Dropout(config.dropout)
        self.attention = nnx.data(None if per_token else nnx.Linear(width, 1, rngs=rngs))
        self.head = nnx.Linear(width if per_token else 3 * width, task.num_classes, rngs=rngs)

    def __call__(
        self, inputs: Inputs, *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b *t k"]:
        tokens = inputs.words if isinstance(inputs, Words) else inputs
        real = tokens != PAD  # b t
        lengths = real.sum(1)  # b
        x = self.vectors(inputs, training=training, rngs=rngs)  # b t d
        for layer in self.layers:
            x = layer(self.dropout(x, deterministic=not training, rngs=rngs), lengths)
        if self.attention is not None:
            x = pooled(x, self.attention(x), real[..., None])  # b 3d
        return self.head(self.dropout(x, deterministic=not training, rngs=rngs))


class BothWays(nnx.Module):
    """Two recurrent layers, one reads forward, one backward: what a token is may depend on what follows it."""

    def __init__(self, cell: str, width: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.forward, self.backward = (Layer(cell, width, hidden, rngs=rngs) for _ in range(2))

    def __call__(self, x: Float[Array, "b t d"], lengths: Int[Array, " b"]) -> Float[Array, "b t h2"]:
        return jnp.concatenate([self.forward(x, lengths), self.backward(x, lengths, reverse=True)], axis=2)


class Layer(nnx.Module):
    def __init__(self, cell: str, width: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.cell, gates = cell, {"lstm": 4, "gru": 3}[cell]
        square = nnx.initializers.orthogonal()
        self.kernel = nnx.Param(nnx.initializers.glorot_uniform()(rngs.params(), (width, gates * hidden)))
        self.recurrent = nnx.Param(jnp.concatenate([square(rngs.params(), (hidden, hidden)) for _ in range(gates)], 1))
        self.bias = nnx.Param(jnp.zeros(gates * hidden))
        self.recurrent_bias = nnx.data(nnx.Param(jnp.zeros(gates * hidden)) if cell == "gru" else None)

    def __call__(
        self, x: Float[Array, "b t d"], lengths: Int[Array, " b"], *, reverse: bool = False
    ) -> Float[Array, "b t h"]:
        kernel, recurrent, bias = self.kernel[...], self.recurrent[...], self.bias[...]
        if self.recurrent_bias is None:
            return lstm(x, lengths, kernel, recurrent, bias, reverse=reverse)
        return gru(x, lengths, kernel, recurrent, bias, self.recurrent_bias[...], reverse=reverse)


def pooled(x: Float[Array, "b t d"], scores: Float[Array, "b t 1"], real: Bool[Array, "b t 1"]) -> Float[Array, "b d3"]:
    """Maximum and mean over a text's own tokens, and their mean by attention (as Yang et al. 2016, "Hierarchical
    attention networks", but scored by one linear layer): each counts by the softmax of its score.
    """
    mean = jnp.sum(x, axis=1, where=real) / jnp.maximum(real.sum(1), 1)  # b d
    top = jnp.max(x, axis=1, where=real, initial=-1.0)  # b d: a state lies between -1 and 1
    share = jax.nn.softmax(jnp.where(real, scores, -1e9), axis=1)  # b t 1; not -inf: a text may be empty
    return jnp.concatenate([top, mean, jnp.sum(share * x, axis=1, where=real)], axis=1)
