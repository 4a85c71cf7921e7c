"""Bytes of an image file -> the pixels that the model takes. Preprocessing and packages run this same code.

1. EXIF orientation and ICC profile are applied, so that colours, also those of CMYK, become sRGB; other metadata is
   ignored. Transparent parts become the background. Of 16 bits the upper 8 are kept. Grey is the luma of ITU-R 601-2.
2. The image is resized: `exact` ignores its proportions; `shorter` scales its shorter side to fit and crops the longer
   one; `pad` scales its longer side to fit and adds background.
3. With a `margin`, the image is resized to that many pixels more on each axis. In use the centre is cropped; training
   crops at random.

The background is `black`, `white` or `edge`: the median, channel by channel, of the pixels along the image's four
sides. Pixels that are less than half opaque do not count; if all along the sides are such, the background is white.

Pillow warns about damaged metadata, which does no harm. Only the process decides what to do with warnings, since
Python's warning filters are shared by all threads: see `environment.set_up`.
"""

import io
import math
import re

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from ..errors import UserError
from . import colours, metadata
from .specs import ImageSpec

FORMATS = ("PNG", "JPEG", "WEBP")
OPENED = (*FORMATS, "PPM")  # the last is Netpbm, in which tables hold what came as pixels
RAW = re.compile(rb"P([56]) (\d{1,9}) (\d{1,9}) 255\n")  # Netpbm's header of grey or RGB pixels, as `raw` writes it
MAX_PIXELS = 100_000_000  # 300 MB decoded: enough for a large photograph, too little for a decompression bomb
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(content: bytes, spec: ImageSpec, name: str, *, margin: int = 0) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of an image file of any size and mode, with `margin` extra pixels on each axis.

    Raises UserError that names the image as `name`.
    """
    if (pixels := _as_they_are(content, spec, margin)) is not None:
        return pixels
    try:
        wanted = (2 * (spec.width + spec.margin), 2 * (spec.height + spec.margin))
        return _pixels(load(content, "L" if spec.colour == "grey" else "RGB", wanted), spec, margin)
    except Exception as error:  # Pillow's decoders raise a dozen kinds of error for a damaged file
        raise UserError(f"{name}: {_what(content, error)}") from error


def _as_they_are(content: bytes, spec: ImageSpec, margin: int) -> UInt8[np.ndarray, "h w c"] | None:
    """The pixels of a raw image that need no change but to be cropped."""
    if not (head := RAW.match(content)):
        return None
    shape = int(head[3]), int(head[2]), 1 if head[1] == b"5" else 3
    is_whole = len(content) - head.end() == math.prod(shape)
    if not is_whole or shape != (spec.height + spec.margin, spec.width + spec.margin, spec.channels):
        return None
    left = (spec.margin - margin) // 2
    pixels = np.frombuffer(content, np.uint8, offset=head.end()).reshape(shape)
    return pixels[left : left + spec.height + margin, left : left + spec.width + margin]


def check(content: bytes) -> str | None:
    """Why `decode` would refuse an image file, or None. The whole file is decoded, a JPEG at an eighth of its size."""
    try:
        load(content, "L", (1, 1))
    except Exception as error:
        return _what(content, error)
    return None


def _what(content: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"has too many pixels (limit {MAX_PIXELS:,})"
    return "is not a readable PNG, JPEG or WebP image" if content else "is empty"


def load(content: bytes, mode: str, size: tuple[int, int]) -> Image.Image:
    """An image file, decoded and upright. A JPEG is decoded at a part of its size, though not below `size`, and to
    `mode` at once. Raises what Pillow raises.
    """

    def loaded(content: bytes) -> Image.Image:
        with Image.open(io.BytesIO(content), formats=OPENED) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            needs_colours = "icc_profile" in image.info and colours.transform(image.info["icc_profile"], image.mode)
            image.draft("RGB" if needs_colours else mode, size)
            turn = TURNS.get(orientation(image))
            image.load()
            return image.transpose(turn) if turn is not None else image

    return metadata.without_damage(content, loaded)


def outside(content: bytes) -> tuple[int, int, str, bool]:
    """Width and height of an upright image, its mode, and whether it may be transparent, without decoding it."""

    def look(content: bytes) -> tuple[int, int, str, bool]:
        with Image.open(io.BytesIO(content), formats=OPENED) as image:
            width, height = image.size if orientation(image) < 5 else image.size[::-1]
            return width, height, image.mode, _is_transparent(image)

    return metadata.without_damage(content, look)


def _is_transparent(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa")


def orientation(image: Image.Image) -> int:
    """How the camera was held, as EXIF numbers it; 1, upright, where the metadata cannot be read."""
    try:
        found = image.getexif().get(0x0112)
    except Exception:  # a wrong type in another field is no reason to refuse a picture
        return 1
    return found if isinstance(found, int) else 1


def _pixels(image: Image.Image, spec: ImageSpec, margin: int) -> UInt8[np.ndarray, "h w c"]:
    profile, see_through = image.info.get("icc_profile"), image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel, which Pillow's own conversion would clip
        deep = np.asarray(image).astype(np.int64)
        image = Image.fromarray((deep >> 8).clip(0, 255).astype(np.uint8))
        if isinstance(see_through, int):
            image.putalpha(Image.fromarray(np.where(deep == see_through, 0, 255).astype(np.uint8)))
    if _is_transparent(image):
        image = colours.to_srgb(image.convert("LA" if image.mode in ("LA", "La") else "RGBA"), profile).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _background(image, spec)), image)
    else:
        image = colours.to_srgb(image, profile)
    mode = "L" if spec.colour == "grey" else "RGB"
    image = image if image.mode == mode else image.convert(mode)  # which would copy it
    image = _resize(image, spec, (spec.width + spec.margin, spec.height + spec.margin))
    if margin < spec.margin:
        left = (spec.margin - margin) // 2
        image = image.crop((left, left, left + spec.width + margin, left + spec.height + margin))
    return np.asarray(image).reshape(spec.height + margin, spec.width + margin, spec.channels)


def _resize(image: Image.Image, spec: ImageSpec, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    if spec.resize == "exact":
        return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    if spec.resize == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=_background(image, spec))
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _background(image: Image.Image, spec: ImageSpec) -> str | tuple[int, ...]:
    """The colour behind an image of the mode L, RGB or RGBA."""
    if spec.background != "edge":
        return spec.background
    right, below, bands = image.width, image.height, len(image.getbands())
    sides = ((0, 0, right, 1), (0, below - 1, right, below), (0, 0, 1, below), (right - 1, 0, right, below))
    pixels = np.concatenate([np.asarray(image.crop(side)).reshape(-1, bands) for side in sides])
    if image.mode == "RGBA":
        pixels = pixels[pixels[:, 3] >= 128, :3]
    return tuple(int(value) for value in np.median(pixels, axis=0)) if len(pixels) else "white"


def suffix(content: bytes) -> str:
    """The usual file name extension of an image file."""
    return {b"\x89P": "png", b"\xff\xd8": "jpg"}.get(content[:2], "webp")


def encode(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A grey (one channel or none) or RGB image as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def portable(content: bytes) -> bytes:
    """The image file, of raw pixels as PNG: browsers and other programs show it."""
    return encode(np.asarray(load(content, "RGB", (1, 1)))) if RAW.match(content) else content


def raw(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A grey (one channel or none) or RGB image as a Netpbm file, which is its pixels after a line of text."""
    kind = 6 if pixels.shape[2:] == (3,) else 5
    return b"P%d %d %d 255\n" % (kind, pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
