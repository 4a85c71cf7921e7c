"""layers/token_vectors.py as nodes. Axes: n affixes of a word, i their characters."""

import numpy as np

from pipeline.examples.batch import PAD
from pipeline.layers.token_vectors import AFFIXES, BUCKETS, TokenVectors
from pipeline.packaging.onnx.graph import Graph, Value
from pipeline.packaging.onnx.layers import array

PRIME = np.int64(0x01000193)  # of FNV-1a
ALL_32_BITS = np.int64(0xFFFFFFFF)


def token_vectors(g: Graph, layer: TokenVectors) -> Value:
    """The vector of each token: `b t d`."""
    if layer.affixes is None:
        return g("Gather", array(layer.tokens.table), "tokens")
    rows = affixes(g, "characters", int(g.inputs["characters"][2]))  # b t n
    table = array(layer.affixes.table)
    vectors = [g("Gather", array(layer.tokens.table), "words")]
    for start, end in ((0, AFFIXES), (AFFIXES, 2 * AFFIXES)):
        own = g("Gather", table, g("Slice", rows, g.ints(start), g.ints(end), g.ints(2)))  # b t n d
        vectors.append(g("ReduceSum", own, g.ints(2), keepdims=0))
    return g("Concat", *vectors, axis=2)


def affixes(g: Graph, characters: Value, length: int) -> Value:
    """The buckets of a word's prefixes, and then of its suffixes, each of one to four characters: int64 `b t n`."""
    longest = min(AFFIXES, length)
    sizes = np.array([*range(1, AFFIXES + 1), *range(1, longest + 1)])  # of each affix
    characters = g("Cast", characters, to=7)  # int64, in which ONNX Runtime multiplies
    used = g("Cast", g("Not", g("Equal", characters, np.int64(PAD))), to=7)
    places = g("Sub", np.arange(length, length + AFFIXES), g("ReduceSum", used, g.ints(2), keepdims=1))  # b t 4
    beginning = g("GatherElements", characters, g("Min", places, np.int64(length - 1)), axis=2)
    beginning = g("Where", g("Less", places, np.int64(length)), beginning, np.int64(PAD))
    ends = g("Concat", beginning, g("Slice", characters, g.ints(length - longest), g.ints(length), g.ints(2)), axis=2)
    kinds = [*range(0, 2 * AFFIXES, 2), *range(1, 2 * longest, 2)]  # each kind has a hash function of its own
    h: Value | np.ndarray = np.array([kind + 1 for kind in kinds]).reshape(1, 1, -1)
    for i in range(AFFIXES):
        # Character i of each affix: of a suffix, its characters are the last ones that it has.
        at = [min(i, AFFIXES - 1)] * AFFIXES + [AFFIXES + min(longest - n + i, longest - 1) for n in sizes[AFFIXES:]]
        new = g("Mul", g("BitwiseXor", h, g("Gather", ends, np.array(at), axis=2)), PRIME)
        new = g("BitwiseAnd", new, ALL_32_BITS)
        new = g("BitwiseXor", new, g("Div", new, np.int64(1 << 13)))  # a shift to the right
        h = g("Where", (sizes > i).reshape(1, 1, -1), new, h)
    return g("Mod", h, np.int64(BUCKETS))
