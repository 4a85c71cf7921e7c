"""Bytes of an image file -> the pixels that the model takes. Preprocessing and packages run this same code.

1. EXIF orientation is applied. Transparent parts become the background. Of 16 bits the upper 8 are kept. Grey is the
   luma of ITU-R 601-2.
2. The image is resized: `exact` ignores its proportions; `shorter` scales its shorter side to fit and crops the longer
   one; `pad` scales its longer side to fit and fills up with background.
3. With a `margin`, the image is resized to that many pixels more on each axis. In use the centre is cropped; training
   crops at random.

The background is `black`, `white` or `edge`: the median, channel by channel, of the pixels along the image's four
sides. Pixels that are less than half opaque do not count; if all along the sides are such, the background is white.

Pillow warns about damaged metadata, which does no harm. Only the process decides what to do with warnings, since
Python's warning filters are shared by all threads: see `environment.set_up`.
"""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from ..errors import UserError
from .specs import ImageSpec

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 100_000_000  # 300 MB decoded: enough for a large photograph, too little for a decompression bomb


def decode(content: bytes, spec: ImageSpec, name: str, *, margin: int = 0) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of an image file of any size and mode, with `margin` extra pixels on each axis.

    Raises UserError that names the image as `name`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height}"
                raise UserError(f"{name}: {size} pixels are too many (limit {MAX_PIXELS:,})")
            wanted = (2 * (spec.width + spec.margin), 2 * (spec.height + spec.margin))
            image.draft("L" if spec.colour == "grey" else "RGB", wanted)
            return _pixels(image, spec, margin)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds of error for a damaged file
        kinds = ", ".join(FORMATS)
        what = "is empty" if not content else f"is not a readable {kinds} image ({type(error).__name__})"
        raise UserError(f"{name}: {what}") from error


def check(content: bytes) -> str | None:
    """Why `decode` would refuse an image file, or None. The whole file is decoded, a JPEG at an eighth of its size."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.draft("L", (1, 1))
            ImageOps.exif_transpose(image).load()
    except Image.DecompressionBombError:
        return f"has too many pixels (limit {MAX_PIXELS:,})"
    except Exception:
        return f"is not a readable {', '.join(FORMATS)} image" if content else "is empty"
    return None


def _pixels(image: Image.Image, spec: ImageSpec, margin: int) -> UInt8[np.ndarray, "h w c"]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel, which Pillow's own conversion would clip
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _background(image, spec)), image)
    image = image.convert("L" if spec.colour == "grey" else "RGB")
    image = _resize(image, spec, (spec.width + spec.margin, spec.height + spec.margin))
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
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return str(image.format).lower().replace("jpeg", "jpg")


def encode(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A grey (one channel or none) or RGB image as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
