"""Random changes to training images that leave their label true."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt8
from pydantic import Field

from pipeline.params import Section


class Augmentation(Section):
    shift: Annotated[int, Field(ge=0)] = 0  # at most so many pixels up, down, left and right; black moves in
    flip: bool = False  # left for right, every other image


def augment(
    images: UInt8[Array, "b h w c"], augmentation: Augmentation, key: Key[Array, ""]
) -> UInt8[Array, "b h w c"]:
    """Each image moved and mirrored at random, as `key` says."""
    move, mirror = jax.random.split(key)
    batch = images.shape[0]
    if augmentation.flip:
        chosen = jax.random.bernoulli(mirror, shape=(batch, 1, 1, 1))
        images = jnp.where(chosen, images[:, :, ::-1], images)
    if augmentation.shift:
        by = augmentation.shift
        padded = jnp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)))
        corners = jax.random.randint(move, (batch, 2), 0, 2 * by + 1)  # b 2
        cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))
        images = cut(padded, corners)
    return images
