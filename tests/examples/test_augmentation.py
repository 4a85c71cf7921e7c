"""Augmented images: each change is the one that its name says, drawn from the key alone, and leaves a valid image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_tasks

from pipeline.config.training import Augmentation
from pipeline.examples import augmentation
from pipeline.examples.augmentation import colour, photos, posterise, shear, solarise, trivial_augment, warp

POLICIES = ["photos", "trivial-augment"]
augment = jax.jit(augmentation.augment, static_argnums=(1, 3))  # as a training step has it
COLOURED = jnp.asarray(np.random.default_rng(0).integers(0, 256, (32, 12, 9, 3)), jnp.uint8)
PLAIN = jnp.broadcast_to(COLOURED[:, :1, :1], COLOURED.shape)  # each image of one colour
FLOATS = COLOURED.astype(jnp.float32)
SAME = jnp.broadcast_to(jnp.eye(2), (32, 2, 2))
HERE = jnp.zeros((32, 2))
ONE = jnp.ones(32)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "images", [COLOURED, pytest.param(COLOURED[..., :1], marks=pytest.mark.long)], ids=["rgb", "grey"]
)
def test_a_policy_draws_from_its_key_alone_and_keeps_the_shape(policy, images):
    chosen = Augmentation(policy=policy)
    one, again, other = (np.asarray(augment(images, chosen, jax.random.key(seed))) for seed in (0, 0, 1))
    assert one.shape == images.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len({image.tobytes() for image in one}) == len(images)
    assert not any(np.array_equal(a, b) for a, b in zip(one, images))


def test_without_a_choice_images_stay_as_they_are():
    np.testing.assert_array_equal(augment(COLOURED, Augmentation(), jax.random.key(0)), COLOURED)
    task = small_tasks.images(12, 9, "rgb")
    for off in (None, Augmentation()):
        assert task.inputs.augment(COLOURED, off, jax.random.key(0)) is COLOURED


def test_flip_and_shift_draw_what_they_drew_before_there_were_policies():
    shift_key, flip_key = jax.random.split(jax.random.key(0))
    chosen = jax.random.bernoulli(flip_key, shape=(32, 1, 1, 1))
    flipped = augment(COLOURED, Augmentation(flip=True), jax.random.key(0))
    np.testing.assert_array_equal(flipped, np.where(chosen, COLOURED[:, :, ::-1], COLOURED))
    padded = jnp.pad(COLOURED, ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifted = augment(COLOURED, Augmentation(shift=2), jax.random.key(0))
    np.testing.assert_array_equal(shifted, augmentation.crop(padded, 12, 9, shift_key))


def test_a_policy_comes_on_top_of_the_flip():
    """With it, the same images are mirrored as without it."""
    shaded = jnp.broadcast_to(jnp.array([0, 0, 0, 0, 0, 0, 250, 250, 250], jnp.uint8)[:, None], (32, 12, 9, 3))
    key = jax.random.key(0)
    flipped = augment(shaded, Augmentation(flip=True), key)
    both = augment(shaded, Augmentation(flip=True, policy="photos"), key)
    for image, changed in zip(flipped, both):
        left, right = changed[:, 0].mean(), changed[:, -1].mean()
        assert left == right or (left > right) == bool(image[0, 0, 0] > 0)


@pytest.mark.parametrize("background", ["black", "white", "edge"])
def test_the_background_fills_the_gap_of_a_shift(background):
    images = jnp.full((64, 12, 9, 1), 77, jnp.uint8)
    moved = augment(images, Augmentation(shift=2), jax.random.key(0), background)
    assert set(np.unique(moved)) == {77, {"black": 0, "white": 255, "edge": 77}[background]}


def test_a_crop_lies_within_the_image():
    images = jnp.zeros((500, 12, 9, 3))
    matrix, offset = augmentation.random_crops(images, jax.random.key(0))
    sides = np.asarray(jnp.diagonal(matrix, axis1=1, axis2=2))  # b 2
    room = (1 - sides) * np.array([12, 9]) / 2
    assert (np.abs(offset) <= room + 1e-5).all()
    assert (np.abs(offset) > 0.9 * room).any(0).all()  # up to the sides
    areas = sides.prod(1)
    assert (areas > augmentation.SMALLEST_CROP * 0.999).all()
    assert areas.min() < 0.4
    assert areas.max() > 0.9
    stretch = sides[:, 1] / sides[:, 0]
    assert stretch.min() == pytest.approx(3 / 4, abs=0.02)
    assert stretch.max() == pytest.approx(4 / 3, abs=0.02)


def test_a_crop_brings_in_no_border():
    cropped = augment(PLAIN, Augmentation(policy="photos"), jax.random.key(0))
    np.testing.assert_array_equal(cropped, jnp.broadcast_to(cropped[:, :1, :1], cropped.shape))


def test_a_warp_moves_and_scales():
    np.testing.assert_array_equal(warp(FLOATS, SAME, HERE), FLOATS)
    moved = warp(FLOATS, SAME, HERE.at[:, 0].set(2).at[:, 1].set(-1))
    np.testing.assert_allclose(moved[:, :-2, 1:], FLOATS[:, 2:, :-1], atol=1e-3)
    np.testing.assert_allclose(moved[:, -1, 1:], FLOATS[:, -1, :-1], atol=1e-3)  # the edge continues
    np.testing.assert_allclose(warp(FLOATS, -SAME, HERE), FLOATS[:, ::-1, ::-1], atol=1e-3)
    ramp = jnp.broadcast_to(10.0 * jnp.arange(9)[:, None], (32, 12, 9, 3))
    np.testing.assert_allclose(warp(ramp, SAME / 2, HERE)[0, 0, :, 0], 20 + 5 * np.arange(9), atol=1e-3)


def test_rotation_and_shear():
    square = FLOATS[:, :9]
    turned = warp(square, augmentation.rotation(ONE * np.pi / 2), HERE)
    np.testing.assert_allclose(turned, np.rot90(square, axes=(1, 2), k=-1), atol=0.1)
    slanted = warp(square, shear(ONE, 0 * ONE), HERE)  # the row i below the centre, from i pixels to the right
    np.testing.assert_allclose(slanted[:, 4], square[:, 4], atol=1e-3)
    np.testing.assert_allclose(slanted[:, 6, :-2], square[:, 6, 2:], atol=1e-3)
    slanted = warp(square, shear(0 * ONE, ONE), HERE)
    np.testing.assert_allclose(slanted[:, :-2, 6], square[:, 2:, 6], atol=1e-3)


def test_brightness_contrast_and_saturation():
    np.testing.assert_allclose(colour(FLOATS, ONE, ONE, ONE), FLOATS, atol=1e-3)
    np.testing.assert_allclose(colour(FLOATS, ONE / 2, ONE, ONE), FLOATS / 2, atol=1e-3)
    luma = np.asarray(FLOATS) @ [0.299, 0.587, 0.114]  # b h w
    mean = luma.mean((1, 2)).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(colour(FLOATS, ONE, ONE / 2, ONE), (mean + FLOATS) / 2, atol=1e-3)
    np.testing.assert_allclose(colour(FLOATS, ONE, ONE, 0 * ONE), np.stack([luma] * 3, -1), atol=1e-3)
    grey = FLOATS[..., :1]
    np.testing.assert_allclose(colour(grey, ONE, ONE, 2 * ONE), grey, atol=1e-3)  # no colour to strengthen
    assert colour(FLOATS, 9 * ONE, ONE, ONE).max() == 255


def test_posterise_and_solarise():
    np.testing.assert_array_equal(posterise(FLOATS, 0 * ONE), FLOATS)
    np.testing.assert_array_equal(posterise(FLOATS, 4 * ONE), COLOURED & 0xF0)
    np.testing.assert_array_equal(solarise(FLOATS, 256 * ONE), FLOATS)
    np.testing.assert_array_equal(solarise(FLOATS, 0 * ONE), 255 - FLOATS)
    expected = jnp.where(FLOATS < 100, FLOATS, 255 - FLOATS)
    np.testing.assert_array_equal(solarise(FLOATS, 100 * ONE), expected)


def test_trivial_augment_makes_one_change():
    """Crop, rotation and shear keep the colour of a plain image, and so do weak ones of the others."""
    images = jnp.full((4_000, 2, 2, 3), jnp.array([120.0, 40.0, 200.0]))
    out = jax.jit(trivial_augment)(images, jax.random.key(0))
    np.testing.assert_allclose(out, jnp.broadcast_to(out[:, :1, :1], out.shape), atol=1)
    pixels = np.asarray(out[:, 0, 0])
    ratio = pixels / [120, 40, 200]
    kept = np.abs(ratio - 1).max(1) < 0.005
    dark = (np.ptp(ratio, axis=1) < 0.005) & (ratio[:, 0] < 0.99)  # brightness alone keeps the proportions
    assert 0.37 < kept.mean() < 0.6
    assert 0.04 < dark.mean() < 0.08  # half of an eighth


@pytest.mark.parametrize("policy", [photos, trivial_augment])
def test_pixels_stay_in_range(policy):
    for extreme in (0.0, 255.0):
        out = jax.jit(policy)(jnp.full((64, 5, 5, 3), extreme), jax.random.key(1))
        assert out.min() >= 0
        assert out.max() <= 255
