"""models/linear.py as a graph."""

import numpy as np

from pipeline.examples.batch import PAD
from pipeline.models.linear import Linear
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array

KNUTH = 0x9E3779B1 - (1 << 32)  # the same number modulo 2**32: times one of 32 bits, it fits into a signed 64


def graph(g: Graph, model: Linear) -> Value:
    rows, counts = ngrams(g, "tokens", model)  # b n, b n
    tf = g("Where", g("Greater", counts, 0.0), g("Add", g("Log", g("Max", counts, 1.0)), 1.0), 0.0)
    x = g("Mul", tf, g("Gather", array(model.idf), rows))  # b n
    square = g("ReduceSum", g("Mul", x, x), g.ints(1), keepdims=1)  # b 1
    x = g("Div", x, g("Sqrt", g("Max", square, 1e-12)))
    looked_up = g("Gather", array(model.weights.table), rows)  # b n k
    y = g("MatMul", g("Unsqueeze", x, g.ints(1)), looked_up)  # b 1 k
    return g("Add", g("Squeeze", y, g.ints(1)), array(model.bias))  # b k


def ngrams(g: Graph, tokens: Value, model: Linear) -> tuple[Value, Value]:
    """The buckets of each text's n-grams, and how often it has each: 0 for what is none. Each bucket stands once, at
    the number that it has among the text's sorted ones: int64 and float32 `b n`.
    """
    tokens = g("Cast", tokens, to=7)  # int64, in which ONNX Runtime multiplies
    length = g("Shape", tokens, start=1, end=2)
    hashed, whole, buckets = g("Mul", tokens, g.ints(0)), None, []
    for n in range(model.max_n):
        # The tokens that stand n places later; padding after the end.
        padded = g("Pad", tokens, g.ints(0, 0, 0, n)) if n else tokens
        nth = g("Slice", padded, g.ints(n), g("Add", length, g.ints(n)), g.ints(1)) if n else tokens  # b t
        hashed = g("BitwiseAnd", g("Mul", g("BitwiseXor", hashed, nth), np.int64(KNUTH)), np.int64(0xFFFFFFFF))
        hashed = g("BitwiseXor", hashed, g("Div", hashed, np.int64(1 << 15)))  # a shift to the right
        real = g("Not", g("Equal", nth, np.int64(PAD)))
        whole = real if whole is None else g("And", whole, real)
        bucket = g("Mod", hashed, np.int64(model.buckets))
        buckets.append(g("Where", whole, bucket, np.int64(model.buckets)))  # what holds padding comes last
    rows = g("Concat", *buckets, axis=1)  # b n
    size = g("Shape", rows, start=1, end=2)
    rows, _ = g.several("TopK", 2, rows, size, axis=1, largest=0, sorted=1)
    differs = g("Not", g("Equal", rows, g("Concat", first_column(g, rows), but_last(g, rows), axis=1)))
    number = g("CumSum", g("Cast", differs, to=7), np.int64(1))  # b n: of the bucket, among the text's
    zeros = g("Mul", rows, g.ints(0))
    ones = g("Cast", g("Less", rows, np.int64(model.buckets)), to=1)  # b n
    counts = g("ScatterElements", g("Cast", zeros, to=1), number, ones, axis=1, reduction="add")
    kept = g("Min", rows, np.int64(model.buckets - 1))
    return g("ScatterElements", zeros, number, kept, axis=1, reduction="max"), counts


def first_column(g: Graph, x: Value) -> Value:
    return g("Slice", x, g.ints(0), g.ints(1), g.ints(1))


def but_last(g: Graph, x: Value) -> Value:
    return g("Slice", x, g.ints(0), g.ints(-1), g.ints(1))
