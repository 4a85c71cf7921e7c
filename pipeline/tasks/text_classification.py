"""One label for each text. Axes: b batch, t tokens."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from pydantic import PositiveInt

from pipeline.config.preprocessing import TextPreprocessing
from pipeline.config.section import Section
from pipeline.tasks.batch import PAD, Batch, Examples, window
from pipeline.tasks.fields import LabelCounts, Labels


class TextClassification(Section):
    """Inputs are token numbers `b t`, 0 for padding."""

    per_token: ClassVar = False  # whether each token of an example has a target

    name: Literal["text-classification"]
    text: TextPreprocessing
    vocabulary: PositiveInt  # how many different tokens there are
    labels: Labels
    counts: LabelCounts  # of each label in the training split

    @property
    def facts(self) -> dict[str, Any]:
        """What a package must know of the data to encode an input."""
        return {"preprocessing": self.text.model_dump(), "vocabulary": self.vocabulary}

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    @property
    def max_length(self) -> int:
        return self.text.max_length

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The first `length` tokens of the examples `rows`; a row of -1 is padding."""
        places, valid = window(jnp.asarray(data.starts), rows, length)  # b t
        tokens = jnp.where(valid, jnp.asarray(data.inputs["tokens"])[places].astype(jnp.int32), PAD)  # b t
        return Batch(tokens, jnp.asarray(data.targets)[rows], rows >= 0)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs: `b` texts of up to `t` tokens."""
        return {"tokens": jax.ShapeDtypeStruct((b, t), np.int32)}

    def inputs(self, tokens: Int[Array, "b t"]) -> Int[Array, "b t"]:
        """The model's inputs, from the arrays that `signature` names."""
        return tokens
