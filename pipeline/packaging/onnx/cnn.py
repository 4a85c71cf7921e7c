"""models/cnn.py as a graph."""

import numpy as np

from pipeline.models.cnn import CNN, POOL
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array, channels_first, conv, standardisation


def graph(g: Graph, model: CNN) -> Value:
    # The kernel standardises the pixels: without padding that gives the same numbers, and a pass less over the images.
    factor, summand = (x.reshape(1, 1, -1, 1) for x in standardisation(model.inputs))
    kernel = array(model.kernel).astype(np.float64)  # i j c f
    bias = array(model.bias) + (kernel * summand).sum((0, 1, 2))
    x = channels_first(g, "images", model.inputs)  # b c h w
    x = g("Relu", conv(g, x, (kernel * factor).astype(np.float32), bias.astype(np.float32)))  # b f h w
    x = g("MaxPool", x, kernel_shape=[POOL, POOL], strides=[POOL, POOL])
    # The dense layer's rows in the order in which a flattened `f h w` has them, not `h w f`.
    height, width, _ = model.inputs.shape
    rows, columns = ((n - k + 1) // POOL for n, k in zip((height, width), kernel.shape))
    head = array(model.head.kernel).reshape(rows, columns, kernel.shape[3], -1).transpose(2, 0, 1, 3)
    return g("Gemm", g("Flatten", x), head.reshape(-1, head.shape[-1]), array(model.head.bias))  # b k
