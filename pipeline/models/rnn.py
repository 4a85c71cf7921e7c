"""A recurrent language model: what it has read is in a state of fixed size, so that each further token costs the same,
however long the text.

`lstm` is the classic (Hochreiter and Schmidhuber 1997), in layers that add to a stream. `linear` is a recurrence whose
new state is a gated, but linear, function of the old one, so that all of time is one associative scan (Martin and Cundy
2018, arXiv:1709.04057); it stands in blocks as those of Griffin (De et al. 2024, arXiv:2402.19427), after a short
convolution, before a SwiGLU. Axes: b batch, t time, d width, v vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from pipeline.config.networks import RNNConfig, RNNSize
from pipeline.layers import linear_recurrence
from pipeline.layers.embedding import lookup
from pipeline.layers.linear_recurrence import parallel_scan
from pipeline.layers.recurrent import lstm, lstm_steps
from pipeline.tasks import LanguageModelling

Share = Annotated[float, Field(ge=0, lt=1)]
TAPS = 4  # tokens that the convolution sees


def build(config: RNNConfig, task: LanguageModelling, *, rngs: nnx.Rngs) -> "RNN":
    return RNN(config, config.size, task.vocabulary, rngs=rngs)


Memory = dict[str, Array]
Drop = Callable[[Array], Array]


class RNN(nnx.Module):
    bounded = False  # the memory is of one size, whatever it has read

    def __init__(self, config: RNNConfig, size: RNNSize, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.precision, self.width = config.precision, size.width
        self.table = nnx.Param(0.02 * jax.random.normal(rngs.params(), (vocabulary, size.width)))
        kind = {"linear": Linear, "lstm": LSTM}[config.cell]
        self.layers = nnx.List(kind(size, rngs=rngs) for _ in range(size.layers))
        self.dropout = nnx.Dropout(config.dropout)

    def hidden(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t d"]:
        """What is known after each token: its product with the table is the logits of the next one."""
        drop = partial(self.dropout, deterministic=not training, rngs=rngs)
        x = drop(self.read(tokens))
        for layer in self.layers:
            x, _ = layer(x, None, drop)
        return normalised(x)

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t v"]:
        return written(self.hidden(tokens, training=training, rngs=rngs), self.table[...])

    def start(self, b: int) -> Memory:
        """The memory before the first token: the state of each layer."""
        return {f"{name} {i}": s for i, layer in enumerate(self.layers) for name, s in layer.start(b).items()}

    def extend(self, memory: Memory, tokens: Int[Array, "b t"]) -> tuple[Float[Array, "b t v"], Memory]:
        """Reads on: the logits after each token, and the memory with these tokens in it."""
        x, after = self.read(tokens), {}
        for i, layer in enumerate(self.layers):
            state = {name: memory[f"{name} {i}"] for name in layer.start(1)}
            x, state = layer(x, state, lambda x: x)
            after |= {f"{name} {i}": s for name, s in state.items()}
        return written(normalised(x), self.table[...]), after

    def read(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]:
        return lookup(self.table[...], tokens, self.precision)


class LSTM(nnx.Module):
    """x + lstm(norm(x))."""

    def __init__(self, size: RNNSize, *, rngs: nnx.Rngs) -> None:
        d = size.width
        square = nnx.initializers.orthogonal()
        self.kernel = matrix(rngs, d, 4 * d)
        self.recurrent = nnx.Param(jnp.concatenate([square(rngs.params(), (d, d)) for _ in range(4)], axis=1))
        self.bias = nnx.Param(jnp.zeros(4 * d))

    def start(self, b: int) -> Memory:
        return {name: jnp.zeros((b, self.recurrent.shape[0])) for name in ("state", "cell")}

    def __call__(
        self, x: Float[Array, "b t d"], memory: Memory | None, drop: Drop
    ) -> tuple[Float[Array, "b t d"], Memory]:
        weights = self.kernel[...], self.recurrent[...], self.bias[...]
        y = normalised(x).astype(jnp.float32)
        if memory is None:
            return x + drop(lstm(y, jnp.full(y.shape[0], y.shape[1]), *weights).astype(x.dtype)), {}
        y, (state, cell) = lstm_steps(y, *weights, (memory["state"], memory["cell"]))
        return x + y.astype(x.dtype), {"state": state, "cell": cell}


class Linear(nnx.Module):
    """x + recurrence(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, size: RNNSize, *, rngs: nnx.Rngs) -> None:
        d, small = size.width, (2 * size.layers) ** -0.5  # depth-scaled, as in GPT-2
        self.enter = matrix(rngs, d, 2 * d)
        self.taps = nnx.Param(TAPS**-0.5 * jax.random.normal(rngs.params(), (TAPS, d)))
        self.gates = matrix(rngs, d, 2 * d)
        # So that, its gate half open, the state decays by 0.9 to 0.999 a token (De et al. 2024, section 2.4).
        kept = jax.random.uniform(rngs.params(), (d,), minval=0.9, maxval=0.999)
        self.decay = nnx.Param(jnp.log(jnp.expm1(-jnp.log(kept) / 4)))
        self.leave = matrix(rngs, d, d, scale=small)
        self.up, self.down = matrix(rngs, d, 4 * d), matrix(rngs, 2 * d, d, scale=small)

    def start(self, b: int) -> Memory:
        d = self.taps.shape[1]
        return {"state": jnp.zeros((b, d)), "latest": jnp.zeros((b, TAPS - 1, d))}

    def __call__(
        self, x: Float[Array, "b t d"], memory: Memory | None, drop: Drop
    ) -> tuple[Float[Array, "b t d"], Memory]:
        scan = parallel_scan if memory is None else linear_recurrence.sequential_scan
        memory = memory or self.start(len(x))
        enter, taps, gates, leave, up, down = (
            w[...].astype(x.dtype) for w in (self.enter, self.taps, self.gates, self.leave, self.up, self.down)
        )
        gate, y = jnp.split(normalised(x) @ enter, 2, axis=-1)
        y = jnp.concatenate([memory["latest"].astype(x.dtype), y], axis=1)  # b t+3 d
        latest, t = y[:, y.shape[1] - TAPS + 1 :], x.shape[1]
        y = sum(y[:, i : i + t] * taps[i][None, None] for i in range(TAPS))  # b t d
        forget, take = jnp.split(jax.nn.sigmoid((y @ gates).astype(jnp.float32)), 2, axis=-1)
        # a to the power of 8 forget, where a is the sigmoid of a parameter: here by its logarithm.
        kept = jnp.exp(-8 * jax.nn.softplus(self.decay[...])[None, None] * forget)
        states = scan(kept, jnp.sqrt(1 - kept * kept + 1e-6) * take * y, memory["state"])  # b t d
        x = x + drop((states.astype(x.dtype) * jax.nn.gelu(gate)) @ leave)
        gate, y = jnp.split(normalised(x) @ up, 2, axis=-1)
        x = x + drop((jax.nn.silu(gate) * y) @ down)
        return x, {"state": states[:, -1], "latest": latest.astype(jnp.float32)}


def matrix(rngs: nnx.Rngs, rows: int, columns: int, *, scale: float = 1.0) -> nnx.Param[Any]:
    return nnx.Param(scale * rows**-0.5 * jax.random.normal(rngs.params(), (rows, columns)))


def normalised(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """To a mean square of one (Zhang and Sennrich 2019, arXiv:1910.07467; without a gain)."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(square + 1e-6).astype(x.dtype)


def written(x: Float[Array, "b t d"], table: Float[Array, "v d"]) -> Float[Array, "b t v"]:
    """The logits of the next token."""
    return jnp.einsum("btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32)
