"""Choosing one label for an image."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, UInt8

from pipeline.config.section import Section
from pipeline.runtime.encoders.images import ImageSpec
from pipeline.tasks.batch import Batch, Examples
from pipeline.tasks.facts import Channels, Counts, Labels


class ImageClassification(Section):
    """The facts that preprocess found, in data/features/task.json: inputs are uint8 images `b h w c`."""

    name: Literal["image-classification"]
    image: ImageSpec
    labels: Labels
    counts: Counts  # of each label's training examples
    mean: Channels  # of each channel of the training images, 0 to 1
    std: Channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One example's shape: height, width, channels."""
        return (self.image.height, self.image.width, self.image.channels)

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    def standardise(self, images: Real[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Zero mean and unit variance by the training images' channels; bytes travel to the device, floats do not."""
        mean, std = (jnp.asarray(x).reshape(1, 1, 1, -1) for x in (self.mean, self.std))  # 1 1 1 c
        return (images.astype(jnp.float32) / 255 - mean) / std

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The examples `rows`; a row of -1 is padding. All images are of one size: `length` says nothing here."""
        return Batch(jnp.asarray(data.inputs["images"])[rows], jnp.asarray(data.targets)[rows], rows >= 0)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs, `b` of them."""
        return {"images": jax.ShapeDtypeStruct((b, *self.input_shape), np.uint8)}

    def inputs(self, images: UInt8[Array, "b h w c"]) -> UInt8[Array, "b h w c"]:
        """What the model takes, of the arrays that `signature` names."""
        return images
