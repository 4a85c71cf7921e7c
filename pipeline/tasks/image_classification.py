"""Choosing one label for an image."""

from typing import Annotated, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
from pydantic import Field

from pipeline.images import ImageSpec
from pipeline.params import Section

Channels = Annotated[tuple[float, ...], Field(strict=False)]


class ImageClassification(Section):
    """The facts that preprocess found, in data/features/task.json: inputs are uint8 images `b h w c`."""

    name: Literal["image-classification"]
    image: ImageSpec
    labels: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    mean: Channels  # of each channel of the training images, 0 to 1
    std: Channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One example's shape: height, width, channels."""
        return (self.image.height, self.image.width, self.image.channels)

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    def standardise(self, images: UInt8[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Zero mean and unit variance by the training images' channels; bytes travel to the device, floats do not."""
        mean, std = (jnp.asarray(x).reshape(1, 1, 1, -1) for x in (self.mean, self.std))  # 1 1 1 c
        return (images.astype(jnp.float32) / 255 - mean) / std
