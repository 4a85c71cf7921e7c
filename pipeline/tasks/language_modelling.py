"""Saying what token comes next in a text."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from pydantic import Field, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.encoders.byte_tokenizer import CorpusSpec
from pipeline.tasks.batch import Batch, Examples

Counts = Annotated[tuple[int, ...], Field(strict=False, min_length=1)]


class LanguageModelling(Section):
    """The facts that preprocess found, in data/features/task.json: inputs are token numbers `b t`.

    A split is one long row of tokens, and token 0 stands before each of its documents.
    """

    name: Literal["language-modelling"]
    text: CorpusSpec
    vocabulary: PositiveInt  # how many different tokens there are
    counts: Counts  # of each token in the training split

    @property
    def num_classes(self) -> int:
        return self.vocabulary

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """Windows of `length` tokens, and the tokens that follow them; `rows` says where each begins, -1 is padding."""
        places = jnp.maximum(rows, 0)[:, None] + jnp.arange(length + 1)[None]  # b t+1
        tokens = jnp.asarray(data.inputs["tokens"]).at[places].get(mode="fill", fill_value=0).astype(jnp.int32)
        there = jnp.broadcast_to((rows >= 0)[:, None], (len(rows), length))  # b t
        return Batch(tokens[:, :-1], tokens[:, 1:], there)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs: `b` texts of `t` tokens."""
        return {"tokens": jax.ShapeDtypeStruct((b, t), np.int32)}

    def inputs(self, tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
        """What the model takes, of the arrays that `signature` names."""
        return tokens
