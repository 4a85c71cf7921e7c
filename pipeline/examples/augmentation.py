"""Random changes to training images that leave their labels valid.

`flip` and `shift` say what they do. A `policy` changes more, for small sets of photographs:

- `photos`: a random crop of the image, scaled up to its size; brightness, contrast and saturation.
- `trivial-augment`: such a crop, then one change drawn from rotation, shear, brightness, contrast, saturation,
  posterisation and solarisation, of random strength, as in Müller and Hutter 2021, arXiv:2103.10158.

No policy mirrors images, since that makes another class of a letter or of an arrow: `flip` decides that.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.config.training import Augmentation

SMALLEST_CROP = 0.35  # share of the image's area
LARGEST_STRETCH = 4 / 3  # of a crop's width against its height
COLOUR_STRENGTH = 0.4  # of `photos`: factors from 0.6 to 1.4
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601-2
# The changes that `trivial-augment` draws from, each with what the largest strength, -1 or 1, means.
ROTATION = math.radians(30)
SHEAR = 0.3  # pixels for each pixel of distance from the centre
COLOUR = 0.9  # factors from 0.1 to 1.9
POSTERISED_BITS = 4  # kept of 8
SOLARISED = 256  # grey levels that are inverted, from the brightest down


def of_training(
    images: UInt8[Array, "b h w c"],
    settings: ImagePreprocessing,
    augmentation: Augmentation | None,
    key: Key[Array, ""],
) -> UInt8[Array, "b h2 w2 c"]:
    """The images of a training batch, augmented; cropped at random to their size where preprocess left a margin."""
    height, width = settings.height, settings.width
    crop_key, augment_key = jax.random.split(key)
    if images.shape[1:3] != (height, width):
        images = crop(images, height, width, crop_key)
    return augment(images, augmentation, augment_key, settings.background) if augmentation else images


def augment(
    images: UInt8[Array, "b h w c"], augmentation: Augmentation, key: Key[Array, ""], background: str = "black"
) -> UInt8[Array, "b h w c"]:
    """Each image changed at random, in its own way. `background` is what preprocessing fills up with."""
    shift_key, flip_key, policy_key = jax.random.split(key, 3)
    if augmentation.flip:
        chosen = jax.random.bernoulli(flip_key, shape=(images.shape[0], 1, 1, 1))
        images = jnp.where(chosen, images[:, :, ::-1], images)
    if augmentation.shift:
        by = augmentation.shift
        widths = ((0, 0), (by, by), (by, by), (0, 0))
        if background == "edge":  # its colour is not known here: the outermost pixels continue
            padded = jnp.pad(images, widths, "edge")
        else:
            padded = jnp.pad(images, widths, constant_values=255 if background == "white" else 0)
        images = crop(padded, images.shape[1], images.shape[2], shift_key)
    if augmentation.policy:
        policy = {"photos": photos, "trivial-augment": trivial_augment}[augmentation.policy]
        images = jnp.round(policy(images.astype(jnp.float32), policy_key)).astype(jnp.uint8)
    return images


def crop(images: UInt8[Array, "b h w c"], height: int, width: int, key: Key[Array, ""]) -> UInt8[Array, "b h2 w2 c"]:
    """A crop of each image, at a random position of its own."""
    b, h, w, c = images.shape
    positions = jnp.array([h - height + 1, w - width + 1])
    corners = jax.random.randint(key, (b, 2), 0, jnp.broadcast_to(positions[None], (b, 2)))  # b 2
    crops = jax.vmap(lambda image, yx: jax.lax.dynamic_slice(image, (yx[0], yx[1], 0), (height, width, c)))
    return crops(images, corners)


def photos(images: Float[Array, "b h w c"], key: Key[Array, ""]) -> Float[Array, "b h w c"]:
    """A random crop of each image, in other light."""
    crop_key, colour_key = jax.random.split(key)
    scale, offset = random_crops(images, crop_key)
    images = warp(images, scale, offset)
    factors = 1 + COLOUR_STRENGTH * jax.random.uniform(colour_key, (3, images.shape[0]), minval=-1)
    return colour(images, *factors)


def trivial_augment(images: Float[Array, "b h w c"], key: Key[Array, ""]) -> Float[Array, "b h w c"]:
    """A random crop of each image, with one change of random strength; each of the 8 is equally likely."""
    crop_key, change_key, strength_key = jax.random.split(key, 3)
    b = images.shape[0]
    change = jax.random.randint(change_key, (b,), 0, 8)
    strength = jax.random.uniform(strength_key, (b,), minval=-1)
    # A strength of 0 changes nothing, so each image passes through all the changes with one strength that is not 0.
    strengths = jax.nn.one_hot(change, 8, axis=0) * strength[None]  # 8 b
    angle, shear_x, shear_y, *factors, posterised, solarised = strengths
    scale, offset = random_crops(images, crop_key)
    images = warp(images, scale @ rotation(ROTATION * angle) @ shear(SHEAR * shear_x, SHEAR * shear_y), offset)
    images = colour(images, *(1 + COLOUR * factor for factor in factors))
    images = posterise(images, jnp.round((8 - POSTERISED_BITS) * jnp.abs(posterised)))
    return solarise(images, 256 - SOLARISED * jnp.abs(solarised))


def random_crops(
    images: Float[Array, "b h w c"], key: Key[Array, ""]
) -> tuple[Float[Array, "b 2 2"], Float[Array, "b 2"]]:
    """What `warp` takes: a rectangle of each image, of random area, proportions and place (Szegedy et al. 2015,
    arXiv:1409.4842).
    """
    b, h, w, _ = images.shape
    area_key, stretch_key, place_key = jax.random.split(key, 3)
    area = jax.random.uniform(area_key, (b,), minval=SMALLEST_CROP)
    stretch = jnp.exp(math.log(LARGEST_STRETCH) * jax.random.uniform(stretch_key, (b,), minval=-1))
    sides = jnp.sqrt(jnp.stack([area / stretch, area * stretch], 1)).clip(max=1)  # b 2, of height and width
    room = (1 - sides) * jnp.array([[h, w]]) / 2  # pixels from the centre
    return jax.vmap(jnp.diag)(sides), room * jax.random.uniform(place_key, (b, 2), minval=-1)


def rotation(angle: Float[Array, " b"]) -> Float[Array, "b 2 2"]:
    """By `angle` in radians."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)


def shear(x: Float[Array, " b"], y: Float[Array, " b"]) -> Float[Array, "b 2 2"]:
    """Rows move sideways by `x` pixels for each row below the centre, columns down by `y` for each one to its right."""
    one = jnp.ones_like(x)
    return jnp.stack([one, y, x, one], 1).reshape(-1, 2, 2)


def warp(
    images: Float[Array, "b h w c"], matrix: Float[Array, "b 2 2"], offset: Float[Array, "b 2"]
) -> Float[Array, "b h w c"]:
    """Images whose pixel at p is the input's at `matrix` p + `offset`: (y, x) in pixels from the centre.

    Between pixels it is interpolated, bilinearly; beyond the edge, the outermost pixels continue.
    """
    _, h, w, _ = images.shape
    centre = jnp.array([(h - 1) / 2, (w - 1) / 2]).reshape(2, 1, 1)
    places = jnp.mgrid[:h, :w] - centre  # 2 h w

    def one(
        image: Float[Array, "h w c"], matrix: Float[Array, "2 2"], offset: Float[Array, "2"]
    ) -> Float[Array, "h w c"]:
        sources = jnp.einsum("ij,jhw->ihw", matrix, places, precision="highest") + offset.reshape(2, 1, 1) + centre
        sample = jax.scipy.ndimage.map_coordinates
        return jax.vmap(lambda x: sample(x, list(sources), order=1, mode="nearest"), in_axes=2, out_axes=2)(image)

    return jax.vmap(one)(images, matrix, offset)


def colour(
    images: Float[Array, "b h w c"],
    brightness: Float[Array, " b"],
    contrast: Float[Array, " b"],
    saturation: Float[Array, " b"],
) -> Float[Array, "b h w c"]:
    """Factors: of all pixels, of their distance from the image's mean grey, and of that from their own grey."""
    brightness, contrast, saturation = (x.reshape(-1, 1, 1, 1) for x in (brightness, contrast, saturation))
    images = (brightness * images).clip(0, 255)
    mean = grey(images).mean((1, 2, 3), keepdims=True)
    images = (mean + contrast * (images - mean)).clip(0, 255)
    own = grey(images)
    return (own + saturation * (images - own)).clip(0, 255)


def grey(images: Float[Array, "b h w c"]) -> Float[Array, "b h w 1"]:
    return images if images.shape[-1] == 1 else (images * jnp.array(LUMA).reshape(1, 1, 1, 3)).sum(-1, keepdims=True)


def posterise(images: Float[Array, "b h w c"], bits: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Without the lowest `bits` of the 8 of each pixel."""
    step = 2 ** bits.reshape(-1, 1, 1, 1)
    return jnp.where(step > 1, jnp.floor(jnp.round(images) / step) * step, images)


def solarise(images: Float[Array, "b h w c"], threshold: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Pixels from `threshold` on inverted."""
    return jnp.where(images < threshold.reshape(-1, 1, 1, 1), images, 255 - images)
