"""Random changes to training images that leave their label true."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt8

from pipeline.config.training import Augmentation
from pipeline.tasks import Batch, ImageClassification, Task


def batch(batch: Batch, augmentation: Augmentation | None, task: Task, key: Key[Array, ""]) -> Batch:
    """A training batch, changed where it is one of images; else as it is."""
    if not isinstance(task, ImageClassification) or not isinstance(batch.inputs, Array):
        return batch
    height, width, _ = task.input_shape
    where, other = jax.random.split(key)
    images = batch.inputs
    if images.shape[1:3] != (height, width):  # preprocess left a margin for this
        images = crop(images, height, width, where)
    return batch._replace(inputs=augment(images, augmentation, other) if augmentation else images)


def augment(
    images: UInt8[Array, "b h w c"], augmentation: Augmentation, key: Key[Array, ""]
) -> UInt8[Array, "b h w c"]:
    """Each image moved and mirrored at random, as `key` says."""
    move, mirror = jax.random.split(key)
    if augmentation.flip:
        chosen = jax.random.bernoulli(mirror, shape=(images.shape[0], 1, 1, 1))
        images = jnp.where(chosen, images[:, :, ::-1], images)
    if augmentation.shift:
        by = augmentation.shift
        padded = jnp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)))
        images = crop(padded, images.shape[1], images.shape[2], move)
    return images


def crop(images: UInt8[Array, "b h w c"], height: int, width: int, key: Key[Array, ""]) -> UInt8[Array, "b h2 w2 c"]:
    """A part of each image, of the same size and at a place of its own."""
    b, h, w, c = images.shape
    places = jnp.array([h - height + 1, w - width + 1])
    corners = jax.random.randint(key, (b, 2), 0, jnp.broadcast_to(places[None], (b, 2)))  # b 2
    cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), (height, width, c)))
    return cut(images, corners)
