"""Any image of any mode becomes the pixels that the model takes; anything else is refused by name."""

import contextlib
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_tasks
from image_files import GREY, RGB, file
from PIL import Image

from pipeline.runtime.encoders import images
from pipeline.runtime.encoders.specs import ImageSpec
from pipeline.runtime.errors import UserError


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 200)])
@pytest.mark.parametrize("spec", [GREY, RGB])
def test_every_mode_and_size_of_png(mode, size, spec):
    pixels = images.decode(file(Image.new(mode, size)), spec, "x.png")
    assert pixels.shape == (spec.height, spec.width, spec.channels)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(("mode", "form"), [("L", "JPEG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP")])
def test_other_formats(mode, form):
    assert images.decode(file(Image.new(mode, (64, 48)), form), RGB, "x").shape == (20, 30, 3)


def test_an_image_of_the_right_size_is_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    np.testing.assert_array_equal(images.decode(images.encode(pixels), GREY, "x")[..., 0], pixels)


@pytest.mark.parametrize("spec", [GREY, RGB])
@pytest.mark.parametrize("margin", [0, 1, 4])
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (20, 30), (21, 31), (50, 40)])
def test_raw_pixels_are_as_those_of_a_png_file(spec, margin, size):
    """Whether they have the right size, so that nothing is decoded, or are resized."""
    spec = replace(spec, margin=margin)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, spec.channels), np.uint8)
    content, file = images.raw(pixels), images.encode(pixels)
    for kept in {0, margin}:
        np.testing.assert_array_equal(
            images.decode(content, spec, "x", margin=kept), images.decode(file, spec, "x", margin=kept)
        )
    assert images.outside(content) == images.outside(file)
    np.testing.assert_array_equal(images.decode(images.portable(content), spec, "x"), images.decode(file, spec, "x"))
    assert images.portable(content).startswith(b"\x89PNG")
    assert images.portable(file) is file


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c[:15], lambda c: b"P5 99999 99999 255\n" + c[13:]])
def test_raw_pixels_that_are_cut_off_or_too_many_are_refused(change):
    content = images.raw(np.zeros((28, 28), np.uint8))
    with pytest.raises(UserError, match=r"x: is not a readable|x: has too many pixels"):
        images.decode(change(content), GREY, "x")


def bordered(mode: str) -> Image.Image:
    """A wide image of red with a blue corner and a green middle. The palette of the mode P has these colours."""
    image = Image.new("RGBA", (30, 10), (204, 51, 0, 255))
    image.paste((0, 0, 255, 255), (0, 0, 8, 5))
    image.paste((0, 255, 0, 255), (10, 2, 20, 8))
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


RED, RED_LUMA = [204, 51, 0], [91]  # 0.299 * 204 + 0.587 * 51


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
@pytest.mark.parametrize(
    ("colour", "background", "expected"),
    [
        ("grey", "black", [0]),
        ("grey", "white", [255]),
        ("grey", "edge", RED_LUMA),
        ("rgb", "black", [0, 0, 0]),
        ("rgb", "white", [255, 255, 255]),
        ("rgb", "edge", RED),
    ],
)
def test_the_background_pads(mode, colour, background, expected):
    spec = ImageSpec(height=30, width=30, colour=colour, resize="pad", margin=0, background=background)
    pixels = images.decode(file(bordered(mode)), spec, "x")
    if background == "edge" and mode == "L" and colour == "rgb":
        expected = RED_LUMA * 3
    for bar in (pixels[:10], pixels[20:]):
        np.testing.assert_array_equal(np.unique(bar.reshape(-1, spec.channels), axis=0), [expected])
    plain = images.decode(file(bordered(mode)), replace(spec, height=10, resize="exact"), "x")
    np.testing.assert_array_equal(pixels[10:20], plain)  # the image itself is as it was


def clear(mode: str, border: bool) -> Image.Image:
    """Green within which all is transparent; with a `border`, grey at its sides."""
    image = Image.new("RGBA", (28, 28), (9, 99, 199, 0))
    if border:
        image.paste((100, 100, 100, 255), (0, 0, 28, 28))
        image.paste((9, 99, 199, 0), (1, 1, 27, 27))
    image.paste((0, 255, 0, 255), (10, 10, 18, 18))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(
    ("background", "border", "expected"),
    [
        ("black", True, 0),
        ("white", True, 255),
        ("edge", True, 100),
        ("black", False, 0),
        ("white", False, 255),
        ("edge", False, 255),
    ],
)
@pytest.mark.parametrize("spec", [GREY, replace(GREY, colour="rgb")], ids=["grey", "rgb"])
def test_the_background_shows_through_transparent_parts(mode, background, border, expected, spec):
    pixels = images.decode(file(clear(mode, border)), replace(spec, background=background), "x")
    assert set(np.unique(pixels[2:9, 2:-2])) == {expected}
    luma = 150  # of green
    opaque = [luma] * spec.channels if spec.colour == "grey" or mode == "LA" else [0, 255, 0]
    np.testing.assert_array_equal(pixels[14, 14], opaque)


def test_a_transparent_colour_of_a_palette_becomes_the_background():
    image = Image.new("P", (28, 28), 1)
    image.putpalette([7, 7, 7, *RED])
    image.paste(0, (5, 5, 20, 20))
    for background, expected in (("black", [0] * 3), ("white", [255] * 3), ("edge", RED)):
        spec = replace(GREY, colour="rgb", background=background)
        pixels = images.decode(file(image, transparency=0), spec, "x")
        np.testing.assert_array_equal(pixels[10, 10], expected)
        np.testing.assert_array_equal(pixels[0, 0], RED)


def test_hardly_opaque_pixels_are_no_edge():
    image = Image.new("RGBA", (28, 28), (200, 40, 0, 127))
    image.paste((0, 0, 90, 128), (0, 0, 28, 1))
    pixels = images.decode(file(image), replace(GREY, colour="rgb", background="edge"), "x")
    assert abs(pixels[14, 14].astype(int) - [100, 20, 45]).max() <= 1  # half red, half the blue of the upper side


def test_sixteen_bits_become_the_upper_eight():
    deep = Image.fromarray(np.full((28, 28), 0x80FF, np.uint16))
    assert set(np.unique(images.decode(file(deep), GREY, "x"))) == {0x80}


def test_exif_orientation_is_honoured():
    image = Image.new("L", (28, 28))
    image.paste(255, (0, 0, 28, 14))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    pixels = images.decode(file(image, "JPEG", exif=exif, quality=95), GREY, "x")[..., 0]
    assert pixels[:10].max() < 30
    assert pixels[-10:].min() > 225


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


PNG = file(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)))
JPEG = file(Image.new("RGB", (400, 400), "red"), "JPEG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "not a readable"),
        (PNG[: len(PNG) // 2], "not a readable"),
        (JPEG[:200], "not a readable"),
        (bomb(30_000, 30_000), "too many|not a readable"),
        (bomb(100, 100), "not a readable"),
        (file(Image.new("RGB", (9, 9)), "BMP"), "not a readable"),
    ],
)
def test_what_is_no_image_is_refused_by_name(content, message):
    with pytest.raises(UserError, match=message) as caught:
        images.decode(content, GREY, "folder/x.png")
    assert str(caught.value).startswith("folder/x.png: ")
    assert "\n" not in str(caught.value)


def test_damaged_bytes_raise_nothing_else():
    random = np.random.default_rng(0)
    for good in (PNG, JPEG):
        for _ in range(300):
            bad = np.frombuffer(good, np.uint8).copy()
            bad[random.integers(0, len(bad), 3)] = random.integers(0, 256, 3)
            with contextlib.suppress(UserError):
                images.decode(bad.tobytes(), GREY, "x")


def test_threads_leave_the_warning_filters_alone():
    """They belong to the whole process."""
    strange = Image.Exif()
    strange[0x0112] = 6
    damaged = file(Image.new("RGB", (400, 400), "red"), "JPEG", exif=strange).replace(b"MM\x00*", b"MM\x00+")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        for pixels in pool.map(lambda content: images.decode(content, RGB, "x"), [PNG, JPEG, damaged] * 100):
            assert pixels.shape == (20, 30, 3)
        assert set(pool.map(images.check, [PNG, JPEG, damaged] * 100)) == {None}
    assert warnings.filters == before


def test_a_margin_keeps_the_picture_whole():
    """Training sees parts of the very picture whose centre is in use."""
    spec = replace(RGB, margin=5, resize="shorter")
    whole = images.decode(PNG, spec, "x", margin=5)
    assert whole.shape == (25, 35, 3)
    np.testing.assert_array_equal(images.decode(PNG, spec, "x"), whole[2:22, 2:32])
    plain = images.decode(PNG, replace(spec, height=25, width=35, margin=0), "x")
    np.testing.assert_array_equal(whole, plain)


def test_training_crops_at_random_and_use_does_not():
    task = small_tasks.images(6, 5, margin=3)
    pixels = np.random.default_rng(0).integers(1, 256, (200, 9, 8, 1)).astype(np.uint8)
    one, again, other = (
        np.asarray(task.inputs.augment(jnp.asarray(pixels), None, key)) for key in map(jax.random.key, (0, 0, 1))
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    places = set()
    for image, cropped in zip(pixels, one):
        at = [(i, j) for i in range(4) for j in range(4) if np.array_equal(image[i : i + 6, j : j + 5], cropped)]
        assert at  # a part of its own image
        places.add(at[0])
    assert len(places) == 16  # every part has its turn
    exact = jnp.asarray(pixels[:, :6, :5])
    left = task.inputs.augment(exact, None, jax.random.key(0))
    np.testing.assert_array_equal(left, exact)


LEFT_WHITE = np.zeros((20, 60), np.uint8)
LEFT_WHITE[:, :20] = 255


@pytest.mark.parametrize(
    ("resize", "rows", "columns"),
    [("exact", 28, 28 // 3), ("shorter", 28, 0), ("pad", 28 // 3, 28 // 3)],
)
def test_other_proportions(resize, rows, columns):
    """A wide image whose left third is white: stretched, cut to its black middle, or between black bars."""
    spec = replace(GREY, resize=resize)
    white = images.decode(file(Image.fromarray(LEFT_WHITE)), spec, "x")[..., 0] > 127
    assert abs(white.any(1).sum() - (rows if columns else 0)) <= 1
    assert abs(white.any(0).sum() - columns) <= 1


def test_a_margin_is_there_in_training_and_cut_off_in_use():
    spec = replace(GREY, margin=4)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    content = images.encode(pixels)
    np.testing.assert_array_equal(images.decode(content, spec, "x", margin=4)[..., 0], pixels)
    np.testing.assert_array_equal(images.decode(content, spec, "x")[..., 0], pixels[2:30, 2:30])
