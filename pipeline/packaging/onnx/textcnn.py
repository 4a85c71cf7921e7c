"""models/textcnn.py as a graph."""

from pipeline.models.textcnn import Conv, TextCNN
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array, dense, is_real


def graph(g: Graph, model: TextCNN) -> Value:
    real = g("Cast", is_real(g), to=1)  # b t
    x = g("Gather", array(model.embed.table), "tokens")  # b t d
    x = g("Transpose", g("Mul", x, g("Unsqueeze", real, g.ints(2))), perm=[0, 2, 1])  # b d t
    mask = g("Unsqueeze", real, g.ints(1))  # b 1 t
    maxima = [g("ReduceMax", g("Mul", convolve(g, x, layer), mask), g.ints(2), keepdims=0) for layer in model.convs]
    return dense(g, g("Concat", *maxima, axis=1), model.head)  # b k


def convolve(g: Graph, x: Value, layer: Conv) -> Value:
    """The convolution over time and its relu: `b f t`."""
    kernel = array(layer.kernel)
    kernel = kernel.reshape(layer.size, -1, kernel.shape[1]).transpose(2, 1, 0)  # f d i
    before = (layer.size - 1) // 2
    pads = [before, layer.size - 1 - before]
    return g("Relu", g("Conv", x, kernel, array(layer.bias), kernel_shape=[layer.size], pads=pads))
