"""One label for each image. Axes: b batch, h height, w width, c channels."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, UInt8

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.config.section import Section
from pipeline.tasks.batch import Batch, Examples
from pipeline.tasks.fields import Channels, LabelCounts, Labels


class ImageClassification(Section):
    """Inputs are uint8 images `b h w c`."""

    per_token: ClassVar = False  # whether each token of an example has a target

    name: Literal["image-classification"]
    image: ImagePreprocessing
    labels: Labels
    counts: LabelCounts  # of each label in the training split
    mean: Channels  # of each channel of the training images, 0 to 1
    std: Channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One example's shape: height, width, channels."""
        return (self.image.height, self.image.width, self.image.spec.channels)

    @property
    def facts(self) -> dict[str, Any]:
        """What a package must know of the data to encode an input."""
        return {"preprocessing": self.image.model_dump(), "mean": self.mean, "std": self.std}

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    def standardise(self, images: Real[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Pixels of 0 to 255 scaled by the mean and the standard deviation of the training images' channels: here, so
        that images travel to the device as bytes.
        """
        mean, std = (jnp.asarray(x).reshape(1, 1, 1, -1) for x in (self.mean, self.std))  # 1 1 1 c
        return (images.astype(jnp.float32) / 255 - mean) / std

    def batch(self, data: Examples, rows: Int[Array, " b"], length: int) -> Batch:
        """The examples `rows`; a row of -1 is padding. All images have one size: `length` is not used."""
        return Batch(jnp.asarray(data.inputs["images"])[rows], jnp.asarray(data.targets)[rows], rows >= 0)

    def signature(self, b: object, t: object) -> dict[str, jax.ShapeDtypeStruct]:
        """The names, shapes and types of the model's inputs, `b` of them."""
        return {"images": jax.ShapeDtypeStruct((b, *self.input_shape), np.uint8)}

    def inputs(self, images: UInt8[Array, "b h w c"]) -> UInt8[Array, "b h w c"]:
        """The model's inputs, from the arrays that `signature` names."""
        return images
