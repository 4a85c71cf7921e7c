"""models/resnet.py as a graph. Images are `b d h w` in it."""

from pipeline.models.resnet import Block, Conv, ResNet
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array, batch_norm, channels_first, conv, standardisation

Size = tuple[int, int]  # height and width


def graph(g: Graph, model: ResNet) -> Value:
    factor, summand = (x.reshape(1, -1, 1, 1) for x in standardisation(model.inputs))
    x = g("Add", g("Mul", channels_first(g, "images", model.inputs), factor), summand)
    height, width, _ = model.inputs.shape
    x, size = convolve(g, x, model.stem, (height, width))
    for layer in model.blocks:
        x, size = block(g, x, layer, size)
    x = g("Relu", batch_norm(g, x, model.norm))
    return g("Gemm", g("Flatten", g("GlobalAveragePool", x)), array(model.head.kernel), array(model.head.bias))  # b k


def block(g: Graph, x: Value, layer: Block, size: Size) -> tuple[Value, Size]:
    y = g("Relu", batch_norm(g, x, layer.norm1))
    skip = x if layer.project is None else convolve(g, y, layer.project, size)[0]
    y, size = convolve(g, y, layer.conv1, size)
    y, size = convolve(g, g("Relu", batch_norm(g, y, layer.norm2)), layer.conv2, size)
    return g("Add", skip, y), size


def convolve(g: Graph, x: Value, layer: Conv, size: Size) -> tuple[Value, Size]:
    """The convolution, padded to `SAME`, and the height and width of its result."""
    kernel = array(layer.kernel)
    result = [-(-n // layer.stride) for n in size]
    totals = [max((m - 1) * layer.stride + k - n, 0) for n, m, k in zip(size, result, kernel.shape)]
    before = [total // 2 for total in totals]
    pads = [*before, *(total - lo for total, lo in zip(totals, before))]
    return conv(g, x, kernel, stride=layer.stride, pads=pads), (result[0], result[1])
