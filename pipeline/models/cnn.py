"""The reference network: one convolution, relu, 2 x 2 max pooling, and a dense layer."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Real

from pipeline.config.networks import CNNConfig
from pipeline.examples.inputs import Images
from pipeline.layers.convolution import can_fuse, conv, conv_relu_pool, max_pool
from pipeline.layers.dense import Dense
from pipeline.runtime.errors import UserError

POOL = 2


def build(config: CNNConfig, inputs: Images, outputs: int, *, rngs: nnx.Rngs) -> "CNN":
    """Raises UserError where the filter and the pooling leave nothing of the image."""
    height, width, _ = inputs.shape
    if min(height, width) < config.kernel + 1:
        raise UserError(f"models.cnn.network.kernel: {config.kernel} is too large for images of {height} x {width}")
    return CNN(config, inputs, outputs, rngs=rngs)


class CNN(nnx.Module):
    def __init__(self, config: CNNConfig, inputs: Images, outputs: int, *, rngs: nnx.Rngs) -> None:
        height, width, channels = inputs.shape
        self.inputs = inputs
        shape = (config.kernel, config.kernel, channels, config.filters)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(config.filters))
        rows, columns = (height - config.kernel + 1) // POOL, (width - config.kernel + 1) // POOL
        self.head = Dense(rows * columns * config.filters, outputs, rngs=rngs)

    def __call__(
        self, images: Real[Array, "b h w c"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b k"]:
        return self.classify(self.features(images, training=training))

    def features(self, images: Real[Array, "b h w c"], *, training: bool = False) -> Float[Array, "b i j f"]:
        kernel, bias = self.kernel[...], self.bias[...]
        x = self.inputs.standardise(images)  # b h w c
        if training and can_fuse(x.shape, kernel.shape, POOL):  # the same numbers, faster to train
            return conv_relu_pool(x, kernel, bias)
        return nnx.relu(max_pool(conv(x, kernel, padding="VALID") + bias[None, None, None], POOL))

    def classify(self, features: Float[Array, "b i j f"]) -> Float[Array, "b k"]:
        return self.head(features.reshape(features.shape[0], -1))
