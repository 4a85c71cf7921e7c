"""Examples as arrays, and how a batch is taken out of them, inside jit.

Examples of one shape, such as images, are rows of an array. Examples of any length, such as texts, lie end to end, and
`starts` says where each begins: nothing is padded before a batch is made, and then only to the length of its bucket.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

PAD = 0  # the number of the token, word or character that is none


class Words(NamedTuple):
    """Sentences of words: the number of each, and of its characters, which lie at the end of the last axis."""

    words: Int[Array, "b t"]
    characters: Int[Array, "b t l"]


Inputs = Shaped[Array, "b ..."] | Words


class Batch(NamedTuple):
    """`valid` is False where a target is padding. A target may be a label that training lacks: `score` says which."""

    inputs: Inputs
    targets: Int[Array, "b *t"]
    valid: Bool[Array, "b *t"]


class Examples(NamedTuple):
    """One split, on disk or on the device."""

    inputs: dict[str, Shaped[Array | np.ndarray, "n ..."]]
    targets: Int[Array | np.ndarray, " n"]  # one an example, or one a token
    starts: Int[Array | np.ndarray, " m"] | None  # where examples of any length begin, and where the last one ends

    def __len__(self) -> int:
        return len(self.targets) if self.starts is None else len(self.starts) - 1


def lengths(examples: Examples) -> Int[np.ndarray, " n"] | None:
    """How many tokens each example has; None where all are of one shape."""
    return None if examples.starts is None else np.diff(np.asarray(examples.starts))


def window(
    starts: Int[Array, " m"], rows: Int[Array, " b"], length: int
) -> tuple[Int[Array, "b t"], Bool[Array, "b t"]]:
    """Where the first `length` tokens of each of the examples `rows` lie, and which of them there are.

    A row of -1 is no example at all: it has no tokens.
    """
    first, end = starts[rows], starts[rows + 1]  # b
    places = first[:, None] + jnp.arange(length)[None]  # b t
    there = (places < end[:, None]) & (rows >= 0)[:, None]  # b t
    return jnp.where(there, places, 0), there
