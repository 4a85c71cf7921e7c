"""The next token of a text. Axes: b batch, t tokens."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from pydantic import PositiveInt

from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.config.section import Section
from pipeline.tasks.batch import Batch, Examples
from pipeline.tasks.fields import TokenCounts


class LanguageModelling(Section):
    """Inputs are token numbers `b t`.

    A split is one row of tokens, with token 0 before each of its documents.
    """

    per_token: ClassVar = True  # whether each token of an example has a target

    name: Literal["language-modelling"]
    text: CorpusPreprocessing
    vocabulary: PositiveInt  # how many different tokens there are
    counts: TokenCounts  # of each token in the training split

    @property
    def facts(self) -> dict[str, Any]:
        """What a package must know of the data to encode an input."""
        return {"preprocessing": self.text.model_dump(), "vocabulary": self.vocabulary}

    @property
    def num_classes(self) -> int:
        return self.vocabulary

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """Windows of `length` tokens: the target of each token is the one that follows. `rows` says where the windows
        begin; -1 is padding.
        """
        places = jnp.maximum(rows, 0)[:, None] + jnp.arange(length + 1)[None]  # b t+1
        tokens = jnp.asarray(data.inputs["tokens"]).at[places].get(mode="fill", fill_value=0).astype(jnp.int32)
        valid = jnp.broadcast_to((rows >= 0)[:, None], (len(rows), length))  # b t
        return Batch(tokens[:, :-1], tokens[:, 1:], valid)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs: `b` texts of `t` tokens."""
        return {"tokens": jax.ShapeDtypeStruct((b, t), np.int32)}

    def inputs(self, tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
        """The model's inputs, from the arrays that `signature` names."""
        return tokens
