"""A recurrent language model: what it has read is in a state of fixed size, so that each further token costs the same,
however long the text.

`lstm` is the classic (Hochreiter and Schmidhuber 1997), in residual layers. `linear` is a recurrence whose new state is
a gated, but linear, function of the old one, so that all of time is one associative scan (Martin and Cundy 2018,
arXiv:1709.04057), in blocks like those of Griffin (De et al. 2024, arXiv:2402.19427): a short convolution before it, a
SwiGLU after it. Axes: b batch, t time, d width, v vocabulary.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.config.networks import RNNConfig
from pipeline.examples.inputs import Corpus
from pipeline.layers.dense import matmul
from pipeline.layers.embedding import embed, unembed
from pipeline.layers.linear_recurrence import parallel_scan, sequential_scan
from pipeline.layers.parameters import EmbeddingTable, Vectors
from pipeline.layers.recurrent import init_recurrent, lstm, lstm_from_state
from pipeline.layers.rms_norm import rms_norm

TAPS = 4  # tokens that the convolution sees

State = dict[str, Array]
Dropout = Callable[[Array], Array]


def build(config: RNNConfig, inputs: Corpus, outputs: int, *, rngs: nnx.Rngs) -> "RNN":
    return RNN(config, outputs, rngs=rngs)


class RNN(nnx.Module):
    bounded = False  # the state has one size, however many tokens it has read

    def __init__(self, config: RNNConfig, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.precision, size = config.precision, config.size
        self.table = EmbeddingTable(0.02 * jax.random.normal(rngs.params(), (vocabulary, size.width)))
        layer = {"linear": partial(Linear, depth=size.layers), "lstm": LSTM}[config.cell]
        self.layers = nnx.List(layer(size.width, rngs=rngs) for _ in range(size.layers))
        self.dropout = nnx.Dropout(config.dropout)

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t v"]:
        return unembed(self.table[...], self.hidden(tokens, training=training, rngs=rngs))

    def hidden(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t d"]:
        """The final hidden states: unembedded, they are the logits of the next token."""
        dropout = partial(self.dropout, deterministic=not training, rngs=rngs)
        x = dropout(embed(self.table[...], tokens, self.precision))  # b t d
        for layer in self.layers:
            x, _ = layer(x, dropout=dropout)
        return rms_norm(x)

    def init_cache(self, batch: int) -> State:
        """The state of each layer before the first token."""
        return {f"{name} {i}": x for i, layer in enumerate(self.layers) for name, x in layer.init_state(batch).items()}

    def decode(self, state: State, tokens: Int[Array, "b t"]) -> tuple[Float[Array, "b t v"], State]:
        """The logits after each of these tokens, which follow those that `state` has read, and the state after them."""
        x, new_state = embed(self.table[...], tokens, self.precision), {}
        for i, layer in enumerate(self.layers):
            own = {name: state[f"{name} {i}"] for name in layer.init_state(1)}
            x, own = layer(x, own)  # b t d
            new_state |= {f"{name} {i}": array for name, array in own.items()}
        return unembed(self.table[...], rms_norm(x)), new_state


class LSTM(nnx.Module):
    """x + lstm(norm(x))."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = init_matrix(rngs, width, 4 * width)
        self.recurrent = nnx.Param(init_recurrent(rngs, width, gates=4))
        self.bias = nnx.Param(jnp.zeros(4 * width))

    def init_state(self, batch: int) -> State:
        return {name: jnp.zeros((batch, self.recurrent.shape[0])) for name in ("state", "cell")}

    def __call__(
        self, x: Float[Array, "b t d"], state: State | None = None, *, dropout: Dropout = lambda x: x
    ) -> tuple[Float[Array, "b t d"], State]:
        """The output and, where it started from a `state`, the state after x. Without one it starts from zeros."""
        weights = self.kernel[...], self.recurrent[...], self.bias[...]
        y = rms_norm(x).astype(jnp.float32)
        if state is None:
            y = lstm(y, jnp.full(y.shape[0], y.shape[1]), *weights)  # b t d
            return x + dropout(y.astype(x.dtype)), {}
        y, (hidden, cell) = lstm_from_state(y, *weights, (state["state"], state["cell"]))
        return x + dropout(y.astype(x.dtype)), {"state": hidden, "cell": cell}


class Linear(nnx.Module):
    """x + recurrence(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, *, depth: int, rngs: nnx.Rngs) -> None:
        residual = (2 * depth) ** -0.5  # as in gpt: the residual stream sums two outputs of each layer
        self.enter = init_matrix(rngs, width, 2 * width)
        self.taps = Vectors(TAPS**-0.5 * jax.random.normal(rngs.params(), (TAPS, width)))
        self.gates = init_matrix(rngs, width, 2 * width)
        # Such that, with its gate half open, the state decays by 0.9 to 0.999 a token (De et al. 2024, section 2.4).
        decay = jax.random.uniform(rngs.params(), (width,), minval=0.9, maxval=0.999)
        self.decay = nnx.Param(jnp.log(jnp.expm1(-jnp.log(decay) / 4)))
        self.leave = init_matrix(rngs, width, width, scale=residual)
        self.up = init_matrix(rngs, width, 4 * width)
        self.down = init_matrix(rngs, 2 * width, width, scale=residual)

    def init_state(self, batch: int) -> State:
        width = self.taps.shape[1]
        return {"state": jnp.zeros((batch, width)), "latest": jnp.zeros((batch, TAPS - 1, width))}

    def __call__(
        self, x: Float[Array, "b t d"], state: State | None = None, *, dropout: Dropout = lambda x: x
    ) -> tuple[Float[Array, "b t d"], State]:
        """The output and the state after x. Without a `state` it starts from zeros."""
        scan = parallel_scan if state is None else sequential_scan
        state = state or self.init_state(len(x))
        enter, taps, gates, leave, up, down = (
            w[...].astype(x.dtype) for w in (self.enter, self.taps, self.gates, self.leave, self.up, self.down)
        )
        gate, y = jnp.split(matmul(rms_norm(x), enter), 2, axis=-1)  # b t d
        y = jnp.concatenate([state["latest"].astype(x.dtype), y], axis=1)  # b t+3 d
        latest, t = y[:, y.shape[1] - TAPS + 1 :], x.shape[1]
        y = reduce(jnp.add, [y[:, i : i + t] * taps[i][None, None] for i in range(TAPS)])  # b t d
        decay_gate, input_gate = jnp.split(jax.nn.sigmoid(matmul(y, gates).astype(jnp.float32)), 2, axis=-1)  # b t d
        # sigmoid(parameter) to the power of 8 decay_gate, by its logarithm (De et al. 2024, section 2.4).
        decay = jnp.exp(-8 * jax.nn.softplus(self.decay[...])[None, None] * decay_gate)
        states = scan(decay, jnp.sqrt(1 - decay * decay + 1e-6) * input_gate * y, state["state"])  # b t d
        x = x + dropout(matmul(states.astype(x.dtype) * jax.nn.gelu(gate), leave))
        gate, y = jnp.split(matmul(rms_norm(x), up), 2, axis=-1)  # b t 2d
        x = x + dropout(matmul(jax.nn.silu(gate) * y, down))
        return x, {"state": states[:, -1], "latest": latest.astype(jnp.float32)}


def init_matrix(rngs: nnx.Rngs, inputs: int, outputs: int, *, scale: float = 1.0) -> nnx.Param[Any]:
    """A matrix that preserves the variance of its input, times the square of `scale`."""
    return nnx.Param(scale * inputs**-0.5 * jax.random.normal(rngs.params(), (inputs, outputs)))
