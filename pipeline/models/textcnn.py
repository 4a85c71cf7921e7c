"""One-dimensional convolutions of several widths over a text, the maximum of each filter over time (Kim 2014,
arXiv:1408.5882).
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.config.networks import TextCNNConfig
from pipeline.examples.batch import PAD
from pipeline.examples.inputs import Texts
from pipeline.layers.embedding import TokenEmbed


def build(config: TextCNNConfig, inputs: Texts, outputs: int, *, rngs: nnx.Rngs) -> "TextCNN":
    return TextCNN(config, inputs, outputs, rngs=rngs)


class TextCNN(nnx.Module):
    def __init__(self, config: TextCNNConfig, inputs: Texts, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.embed = TokenEmbed(inputs.vocabulary, config.width, scale=0.1, rngs=rngs)
        self.convs = nnx.List(Conv(config.width, config.filters, kernel=kernel, rngs=rngs) for kernel in config.kernels)
        self.dropout = nnx.Dropout(config.dropout)
        self.head = nnx.Linear(config.filters * len(config.kernels), outputs, rngs=rngs)

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b k"]:
        real = tokens != PAD  # b t
        x = self.embed(tokens) * real[..., None]  # b t d
        x = self.dropout(x, deterministic=not training, rngs=rngs)
        # After a relu no output is below the zeros that stand at padding, so padding never changes a maximum.
        maxima = [jnp.max(nnx.relu(conv(x)) * real[..., None], axis=1) for conv in self.convs]  # b f
        x = self.dropout(jnp.concatenate(maxima, axis=1), deterministic=not training, rngs=rngs)
        return self.head(x)  # b k


class Conv(nnx.Module):
    """A convolution over time that keeps its length, as one product with a matrix: that trains fast on a CPU."""

    def __init__(self, width: int, out: int, *, kernel: int, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), (kernel * width, out)))
        self.bias = nnx.Param(jnp.zeros(out))
        self.size = kernel

    def __call__(self, x: Float[Array, "b t d"]) -> Float[Array, "b t f"]:
        before = (self.size - 1) // 2
        time = x.shape[1]
        padded = jnp.pad(x, ((0, 0), (before, self.size - 1 - before), (0, 0)))
        windows = jnp.concatenate([padded[:, i : i + time] for i in range(self.size)], axis=2)  # b t k*d
        return windows @ self.kernel[...] + self.bias[...][None, None]
