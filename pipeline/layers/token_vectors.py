"""A vector for each token of a text, or for each word of a sentence and the characters at its ends."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.examples.batch import PAD, ModelInputs, Words
from pipeline.examples.inputs import Sentences, Texts
from pipeline.layers.embedding import TokenEmbed
from pipeline.runtime.encoders.word_vocabulary import UNKNOWN

AFFIXES = 4  # the most characters in a prefix or suffix
BUCKETS = 1 << 15  # rows that affixes are hashed to (Bojanowski et al. 2017, arXiv:1607.04606)


class TokenVectors(nnx.Module):
    """Looks up a vector for each token; for a word it is joined to those of its prefixes and of its suffixes, each
    summed. `width` is the width of the whole; the tokens' vectors start with a standard deviation of `scale`.
    """

    def __init__(
        self,
        kind: Texts | Sentences,
        width: int,
        *,
        token_dropout: float,
        scale: float = 0.1,
        rngs: nnx.Rngs,
    ) -> None:
        self.tokens = TokenEmbed(kind.vocabulary, width, scale=scale, rngs=rngs)
        self.token_dropout = token_dropout
        self.affixes = nnx.data(None)
        self.width = width
        if kind.per_token:  # a word's characters tell much about its tag
            self.affixes = TokenEmbed(BUCKETS, width // 2, scale=0.1, rngs=rngs)
            self.width += 2 * (width // 2)

    def __call__(self, inputs: ModelInputs, *, training: bool, rngs: nnx.Rngs | None) -> Float[Array, "b t d"]:
        tokens = inputs.words if isinstance(inputs, Words) else inputs
        dropped = jnp.zeros(tokens.shape, bool)
        if training and self.token_dropout and rngs is not None:
            dropped = jax.random.bernoulli(rngs.dropout(), self.token_dropout, tokens.shape)  # b t
        if self.affixes is None or not isinstance(inputs, Words):
            return self.tokens(tokens) * ~dropped[..., None]  # b t d
        # So the network learns to tell from its characters what an unknown word is.
        x = self.tokens(jnp.where(dropped & (tokens != PAD), UNKNOWN, tokens))  # b t d
        prefixes, suffixes = affixes(inputs.characters)  # b t a
        return jnp.concatenate([x, self.affixes(prefixes).sum(2), self.affixes(suffixes).sum(2)], axis=2)


def affixes(characters: Int[Array, "b t l"]) -> tuple[Int[Array, "b t a"], Int[Array, "b t s"]]:
    """The buckets of a word's first one to four characters, and of its last one to four.

    A word shorter than an affix fills it with padding, which sets it apart from a longer word's affix. Padding is on
    the left.
    """
    length = characters.shape[-1]
    suffix = [characters[..., length - n :] for n in range(1, min(AFFIXES, length) + 1)]
    first = length - (characters != PAD).sum(-1, keepdims=True)  # b t 1
    places = jnp.minimum(first + jnp.arange(AFFIXES).reshape(1, 1, -1), length - 1)
    exists = first + jnp.arange(AFFIXES).reshape(1, 1, -1) < length
    beginning = jnp.where(exists, jnp.take_along_axis(characters, places, axis=-1), PAD)  # b t 4
    prefix = [beginning[..., :n] for n in range(1, AFFIXES + 1)]
    return (
        jnp.stack([bucket(part, 2 * i) for i, part in enumerate(prefix)], -1),
        jnp.stack([bucket(part, 2 * i + 1) for i, part in enumerate(suffix)], -1),
    )


def bucket(characters: Int[Array, "b t l"], kind: int) -> Int[Array, "b t"]:
    """The row that a string of characters is hashed to; each kind of affix has a hash function of its own."""
    h = jnp.full(characters.shape[:-1], kind + 1, jnp.uint32)
    for i in range(characters.shape[-1]):
        h = (h ^ characters[..., i].astype(jnp.uint32)) * jnp.uint32(0x01000193)  # FNV-1a, character by character
        h = h ^ (h >> 13)
    return (h % jnp.uint32(BUCKETS)).astype(jnp.int32)
