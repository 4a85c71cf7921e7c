"""models/transformer.py as a graph."""

import jax.numpy as jnp
import numpy as np

from pipeline.models.transformer import Block, Transformer
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array, count, dense, is_real, layer_norm
from pipeline.packaging.onnx.token_vectors import token_vectors

Angles = tuple[Value, Value]  # cosine and sine: 1 t 1 e/2


def graph(g: Graph, model: Transformer) -> Value:
    real = is_real(g)  # b t
    x = dense(g, token_vectors(g, model.vectors), model.widen)  # b t d
    hidden = g("Unsqueeze", g("Where", real, 0.0, -1e9), g.ints(1, 2))  # b 1 1 t: added to scores
    width = array(model.head.kernel).shape[0]
    angles = rotary_angles(g, real, width // model.blocks[0].heads)
    for layer in model.blocks:
        x = block(g, x, layer, hidden, angles, width)
    x = layer_norm(g, x, model.norm)
    if not model.per_token:
        x = g("Where", g("Unsqueeze", real, g.ints(2)), x, 0.0)
        number = g("Max", g("Cast", count(g, real), to=1), 1.0)  # b 1
        x = g("Div", g("ReduceSum", x, g.ints(1), keepdims=0), number)  # b d
    return dense(g, x, model.head)


def block(g: Graph, x: Value, layer: Block, hidden: Value, angles: Angles, width: int) -> Value:
    heads, e = layer.heads, width // layer.heads
    qkv = dense(g, layer_norm(g, x, layer.norm1), layer.qkv)  # b t 3d
    qk, v = g.several("Split", 2, qkv, g.ints(2 * width, width), axis=2)
    qk = apply_rotary(g, g("Reshape", qk, g.ints(0, 0, 2 * heads, e)), angles)  # b t 2h e
    q, k = g.several("Split", 2, qk, g.ints(heads, heads), axis=2)
    v = g("Reshape", v, g.ints(0, 0, heads, e))
    scores = g("MatMul", g("Transpose", q, perm=[0, 2, 1, 3]), g("Transpose", k, perm=[0, 2, 3, 1]))  # b h t t
    weights = g("Softmax", g("Add", g("Div", scores, float(e) ** 0.5), hidden), axis=-1)
    y = g("MatMul", weights, g("Transpose", v, perm=[0, 2, 1, 3]))  # b h t e
    y = g("Reshape", g("Transpose", y, perm=[0, 2, 1, 3]), g.ints(0, 0, width))  # b t d
    x = g("Add", x, dense(g, y, layer.out))
    y = dense(g, layer_norm(g, x, layer.norm2), layer.up)
    return g("Add", x, dense(g, g("Gelu", y, approximate="tanh"), layer.down))


def rotary_angles(g: Graph, real: Value, width: int) -> Angles:
    """Of all positions of a text; layers.attention.rotary_angles says how."""
    half = width // 2
    frequencies = np.asarray(10_000.0 ** (-jnp.arange(half) / half))  # JAX's own rounding
    time = g("Squeeze", g("Shape", real, start=1, end=2), g.ints(0))
    positions = g("Cast", g("Range", np.int64(0), time, np.int64(1)), to=1)  # t
    angles = g("Mul", g("Unsqueeze", positions, g.ints(0, 2, 3)), frequencies)  # 1 t 1 e/2
    return g("Cos", angles), g("Sin", angles)


def apply_rotary(g: Graph, x: Value, angles: Angles) -> Value:
    """Queries or keys `b t h e`, feature i turned with feature i + e/2."""
    cos, sin = angles
    left, right = g.several("Split", 2, x, axis=3, num_outputs=2)
    return g(
        "Concat",
        g("Sub", g("Mul", left, cos), g("Mul", right, sin)),
        g("Add", g("Mul", left, sin), g("Mul", right, cos)),
        axis=3,
    )
