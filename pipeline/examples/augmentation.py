"""Random changes to training images that leave their labels valid."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt8

from pipeline.config.training import Augmentation


def of_training(
    images: UInt8[Array, "b h w c"],
    shape: tuple[int, int, int],
    augmentation: Augmentation | None,
    key: Key[Array, ""],
) -> UInt8[Array, "b h2 w2 c"]:
    """The images of a training batch, augmented; where preprocess has left a margin, cropped at random to `shape`."""
    height, width, _ = shape
    crop_key, augment_key = jax.random.split(key)
    if images.shape[1:3] != (height, width):
        images = crop(images, height, width, crop_key)
    return augment(images, augmentation, augment_key) if augmentation else images


def augment(
    images: UInt8[Array, "b h w c"], augmentation: Augmentation, key: Key[Array, ""]
) -> UInt8[Array, "b h w c"]:
    """Each image shifted and mirrored at random."""
    shift_key, flip_key = jax.random.split(key)
    if augmentation.flip:
        chosen = jax.random.bernoulli(flip_key, shape=(images.shape[0], 1, 1, 1))
        images = jnp.where(chosen, images[:, :, ::-1], images)
    if augmentation.shift:
        by = augmentation.shift
        padded = jnp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)))
        images = crop(padded, images.shape[1], images.shape[2], shift_key)
    return images


def crop(images: UInt8[Array, "b h w c"], height: int, width: int, key: Key[Array, ""]) -> UInt8[Array, "b h2 w2 c"]:
    """A crop of each image, at a random position of its own."""
    b, h, w, c = images.shape
    positions = jnp.array([h - height + 1, w - width + 1])
    corners = jax.random.randint(key, (b, 2), 0, jnp.broadcast_to(positions[None], (b, 2)))  # b 2
    crops = jax.vmap(lambda image, yx: jax.lax.dynamic_slice(image, (yx[0], yx[1], 0), (height, width, c)))
    return crops(images, corners)
