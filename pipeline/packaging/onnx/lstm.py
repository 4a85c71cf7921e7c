"""models/lstm.py as a graph. ONNX's own layers have time first: `t b d`."""

import numpy as np
from jaxtyping import Float

from pipeline.models.lstm import LSTM, Bidirectional, Recurrent
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array, count, dense, is_real
from pipeline.packaging.onnx.token_vectors import token_vectors

# ONNX's name of each cell, and the order of its gates among ours: i, f, g, o and r, z, n.
CELLS = {"lstm": ("LSTM", (0, 3, 1, 2)), "gru": ("GRU", (1, 0, 2))}
FORGET = 1  # the gate that layers.recurrent.lstm opens by 1


def graph(g: Graph, model: LSTM) -> Value:
    real = is_real(g)  # b t
    number = count(g, real)  # b 1
    lengths = g("Squeeze", number, g.ints(1))
    x = g("Transpose", token_vectors(g, model.vectors), perm=[1, 0, 2])  # t b d
    for layer in model.layers:
        x = bidirectional(g, x, layer, lengths)
    x = g("Transpose", x, perm=[1, 0, 2])  # b t d
    if model.attention is not None:
        x = pool(g, x, dense(g, x, model.attention), real, number)
    return dense(g, x, model.head)


def bidirectional(g: Graph, x: Value, layer: Bidirectional, lengths: Value) -> Value:
    """Zeros at padding: `t b 2h`."""
    one = layer.forward
    operator, _ = CELLS[one.cell]
    weights = [np.stack(both) for both in zip(*(cell_weights(cell) for cell in (one, layer.backward)))]
    hidden = array(one.recurrent).shape[0]
    settings = {"hidden_size": hidden, "direction": "bidirectional"}
    if operator == "GRU":
        settings["linear_before_reset"] = 1
    y = g(operator, x, *weights, lengths, **settings)  # t 2 b h
    return g("Reshape", g("Transpose", y, perm=[0, 2, 1, 3]), g.ints(0, 0, 2 * hidden))


def cell_weights(cell: Recurrent) -> tuple[Float[np.ndarray, "gates d"], Float[np.ndarray, "gates h"], np.ndarray]:
    """The weights for the input and for the state, and both their biases, one after the other."""
    _, order = CELLS[cell.cell]

    def ordered(weights: Float[np.ndarray, "*d gates"]) -> Float[np.ndarray, "gates *d"]:
        gates = np.split(weights, len(order), axis=-1)
        return np.concatenate([gates[i] for i in order], axis=-1).T

    bias = array(cell.bias)
    if cell.recurrent_bias is None:
        state_bias = np.zeros_like(bias).reshape(len(order), -1)
        state_bias[FORGET] = 1
        state_bias = state_bias.reshape(-1)
    else:
        state_bias = array(cell.recurrent_bias)
    return ordered(array(cell.kernel)), ordered(array(cell.recurrent)), np.r_[ordered(bias), ordered(state_bias)]


def pool(g: Graph, x: Value, scores: Value, real: Value, number: Value) -> Value:
    """Maximum, mean and attention-weighted mean over a text's tokens: `b 3d`. `x` is zero at padding."""
    column = g("Unsqueeze", real, g.ints(2))  # b t 1
    top = g("ReduceMax", g("Where", column, x, -1.0), g.ints(1), keepdims=0)
    mean = g("Div", g("ReduceSum", x, g.ints(1), keepdims=0), g("Max", g("Cast", number, to=1), 1.0))
    weights = g("Softmax", g("Where", column, scores, -1e9), axis=1)  # b t 1
    weighted = g("ReduceSum", g("Mul", weights, x), g.ints(1), keepdims=0)
    return g("Concat", top, mean, weighted, axis=1)
