"""What stands in an image file beside the picture: orientation and colours count, and damage in it does no harm."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from image_files import GREY, RGB, file
from PIL import Image, ImageCms

from pipeline.runtime.encoders import images


def chunk(kind: bytes, content: bytes, *, damage: int = 0) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ damage)


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG file."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def field(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """A field of EXIF."""
    return struct.pack("<HHI4s", tag, kind, count, value)


HALVES = Image.new("RGB", (40, 20), (200, 30, 60))
HALVES.paste((10, 200, 90), (0, 0, 20, 20))
LONG_TEXT = b"Comment\0\0" + zlib.compress(bytes(2 << 20))
EXIF = b"Exif\0\0II*\0\x08\0\0\0"
ODD = {
    "a long text": chunk(b"zTXt", LONG_TEXT),
    "long XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG_TEXT[9:]),
    "a damaged text": chunk(b"tEXt", b"a\0b", damage=1),
    "a damaged date": chunk(b"tIME", b"1234567", damage=1),
    "a long profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3 << 20))),
    "no profile": chunk(b"iCCP", b"x\0\0rubbish"),
    "a short gamma": chunk(b"gAMA", b"\0"),
    "orientation as text": segment(0xE1, EXIF + struct.pack("<H", 1) + field(0x112, 2, 4, b"abc\0") + bytes(4)),
    "no EXIF": segment(0xE1, b"Exif\0\0rubbish"),
    "a short Adobe": segment(0xEE, b"Adobe"),
    "a short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "a short JFIF": segment(0xE0, b"JFIF"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_metadata_is_left_out(kind):
    good = file(HALVES) if ODD[kind][:1] == b"\0" else file(HALVES, "JPEG", quality=95)
    start = 33 if ODD[kind][:1] == b"\0" else 2  # behind the header
    odd = good[:start] + ODD[kind] + good[start:]
    assert images.check(odd) is None
    np.testing.assert_array_equal(images.decode(odd, RGB, "x"), images.decode(good, RGB, "x"))
    assert images.outside(odd)[:2] == (40, 20)


@pytest.mark.parametrize("other", [field(0x11A, 7, 4, b"abcd"), field(0x11A, 5, 1, b"\xff\xff\0\0")])
def test_orientation_is_read_beside_a_wrong_type(other):
    content = segment(0xE1, EXIF + struct.pack("<H", 2) + field(0x112, 3, 1, b"\3\0\0\0") + other + bytes(4))
    good = file(HALVES, "JPEG", quality=95)
    turned = images.decode(good[:2] + content + good[2:], RGB, "x")
    assert np.abs(turned.astype(int) - images.decode(good, RGB, "x")[::-1, ::-1]).max() < 8


def swapped() -> bytes:
    """A profile in which red is blue, and blue red."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"xXYZ").replace(b"bXYZ", b"rXYZ").replace(b"xXYZ", b"bXYZ")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_a_profile_become_those_of_the_screen(form, mode):
    image = Image.new("RGB", (64, 64), (200, 30, 60)).convert(mode if form != "JPEG" else "RGB")
    pixels = images.decode(file(image, form, icc_profile=swapped()), RGB, "x")
    assert np.abs(pixels[10, 10].astype(int) - [60, 30, 200]).max() < 6
    grey = images.decode(file(image, form, icc_profile=swapped()), GREY, "x")
    assert abs(int(grey[14, 14, 0]) - 58) < 4  # 0.299 * 60 + 0.587 * 30 + 0.114 * 200
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = images.decode(file(image, form), RGB, "x")
    np.testing.assert_array_equal(images.decode(file(image, form, icc_profile=srgb), RGB, "x"), plain)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_other_colours_is_left_out(mode):
    image = Image.new("RGB", (64, 64), (200, 30, 60)).convert(mode)
    plain = images.decode(file(image, "JPEG"), RGB, "x")
    np.testing.assert_array_equal(images.decode(file(image, "JPEG", icc_profile=swapped()), RGB, "x"), plain)


def test_sixteen_bits_may_be_transparent():
    deep = file(Image.fromarray(np.full((28, 28), 0x80FF, np.uint16)))
    clear = deep[:33] + chunk(b"tRNS", b"\x80\xff") + deep[33:]
    assert set(np.unique(images.decode(clear, replace(GREY, background="white"), "x"))) == {255}
