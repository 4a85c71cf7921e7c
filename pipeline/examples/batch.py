"""Examples as arrays, and how a batch is gathered from them, inside jit.

Examples of one shape, such as images, are rows of an array. Examples of any length, such as texts, lie end to end, and
`starts` says where each begins: nothing is padded before a batch is made, and then only to the length of its bucket.
Axes: b examples of a batch, n examples of a split or their tokens, m borders of examples, t tokens, l characters.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

PAD = 0  # the token, word or character number of padding


class Words(NamedTuple):
    """Sentences: the number of each word and of each of its characters, which are padded on the left."""

    words: Int[Array, "b t"]
    characters: Int[Array, "b t l"]


ModelInputs = Shaped[Array, "b ..."] | Words


class Batch(NamedTuple):
    """`valid` is False where an example or token is padding."""

    inputs: ModelInputs
    targets: Shaped[Array, "b ..."]  # b, or b t where each token has one, or b k for k of them
    valid: Bool[Array, "b *t"]


class LossSums(NamedTuple):
    """Totals to be summed over batches and divided once: `loss` by `weight`; and `score` by `score_weight`, which gives
    the metric that training shows.
    """

    loss: Float[Array, ""]
    weight: Float[Array, ""]
    score: Float[Array, ""]
    score_weight: Float[Array, ""]


class Examples(NamedTuple):
    """One split, on disk or on the device."""

    inputs: dict[str, Shaped[Array | np.ndarray, "n ..."]]
    targets: Shaped[Array | np.ndarray, "n ..."]  # a row for each example, or for each token
    starts: Int[Array | np.ndarray, " m"] | None  # example i is tokens[starts[i] : starts[i + 1]]; None: of one shape

    def __len__(self) -> int:
        return len(self.targets) if self.starts is None else len(self.starts) - 1


def lengths(examples: Examples) -> Int[np.ndarray, " n"] | None:
    """How many tokens each example has; None where all are of one shape."""
    return None if examples.starts is None else np.diff(np.asarray(examples.starts))


def window(
    starts: Int[Array, " m"], rows: Int[Array, " b"], length: int
) -> tuple[Int[Array, "b t"], Bool[Array, "b t"]]:
    """The places of the first `length` tokens of each of the examples `rows`, and which of these places are valid.

    A row of -1 is padding: none of its places is valid.
    """
    first, end = starts[rows], starts[rows + 1]  # b
    places = first[:, None] + jnp.arange(length)[None]  # b t
    valid = (places < end[:, None]) & (rows >= 0)[:, None]  # b t
    return jnp.where(valid, places, 0), valid
