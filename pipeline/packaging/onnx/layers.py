"""The layers that several networks have, as nodes. Axes are named as in models/."""

from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float

from pipeline.examples.batch import PAD
from pipeline.examples.inputs import Images
from pipeline.packaging.onnx.graph import Graph, Operand, Value


def array(variable: Any) -> Float[np.ndarray, "..."]:
    """The value of a network's variable."""
    return np.asarray(variable[...])


def dense(g: Graph, x: Value, layer: nnx.Linear) -> Value:
    """nnx.Linear, on the last of any number of axes."""
    y = g("MatMul", x, array(layer.kernel))
    return y if layer.bias is None else g("Add", y, array(layer.bias))


def layer_norm(g: Graph, x: Value, layer: nnx.LayerNorm) -> Value:
    return g("LayerNormalization", x, array(layer.scale), array(layer.bias), axis=-1, epsilon=layer.epsilon)


def batch_norm(g: Graph, x: Value, layer: nnx.BatchNorm) -> Value:
    """nnx.BatchNorm by its running averages, of `b d h w`."""
    averages = array(layer.scale), array(layer.bias), array(layer.mean), array(layer.var)
    return g("BatchNormalization", x, *averages, epsilon=layer.epsilon)


def channels_first(g: Graph, images: Value, inputs: Images) -> Value:
    """uint8 `b h w c` -> float32 `b c h w`."""
    x = g("Cast", images, to=1)
    height, width, channels = inputs.shape
    if channels == 1:  # moves nothing
        return g("Reshape", x, g.ints(0, 1, height, width))
    return g("Transpose", x, perm=[0, 3, 1, 2])


def standardisation(inputs: Images) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """The factors and the summands of Images.standardise."""
    mean, std = np.asarray(inputs.mean), np.asarray(inputs.std)
    return 1 / (255 * std), -mean / std


def conv(
    g: Graph,
    x: Value,
    kernel: Float[np.ndarray, "i j c f"],
    bias: Operand | None = None,
    *,
    stride: int = 1,
    pads: list[int] | None = None,
) -> Value:
    """A convolution of `b c h w`; `pads` are rows before, columns before, rows after, columns after."""
    shape = list(kernel.shape[:2])
    weights = kernel.transpose(3, 2, 0, 1)  # f c i j
    return g("Conv", x, weights, bias, kernel_shape=shape, strides=[stride, stride], pads=pads or [0, 0, 0, 0])


def is_real(g: Graph) -> Value:
    """Whether a token or word is none of padding: bool `b t`."""
    tokens = "words" if "words" in g.inputs else "tokens"
    return g("Not", g("Equal", tokens, np.int32(PAD)))


def count(g: Graph, real: Value) -> Value:
    """How many tokens each text has: int32 `b 1`."""
    return g("ReduceSum", g("Cast", real, to=6), g.ints(1), keepdims=1)
