"""Bytes of an image file -> pixels as the model takes them; the same code in preprocess and in the served package.

The rule: EXIF orientation is honoured; what is transparent lies on black; 16 bits become the upper 8; grey is the
luma of ITU-R 601-2. Then the size: `exact` brings the picture to height x width without keeping its proportions,
`shorter` scales it until the shorter side fits and cuts off what is too long, `pad` until the longer side fits and
fills up with black. With a `margin` all that happens to a picture so much larger, of which the centre is taken in use;
in training, another part each time.
"""

import io
import warnings
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from pydantic import NonNegativeInt, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 100_000_000  # 300 MB decoded: room for a large photograph, none for a bomb of a few kilobytes


class ImageSpec(Section):
    """The size and colour that images are brought to."""

    height: PositiveInt
    width: PositiveInt
    colour: Literal["grey", "rgb"]
    resize: Literal["exact", "shorter", "pad"]
    margin: NonNegativeInt  # pixels by which training images are larger on each axis

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3


def decode(content: bytes, spec: ImageSpec, name: str, *, margin: int = 0) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of an image file of any size and mode, and `margin` more of them on each axis.

    Raises UserError that names the image as `name`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata alone does no harm
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
    """Why `decode` would refuse an image file, or None. All of it is decoded, a JPEG to an eighth of its size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel; Pillow's own conversion would clip them
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    image = image.convert("L" if spec.colour == "grey" else "RGB")
    image = _resized(image, spec.resize, (spec.width + spec.margin, spec.height + spec.margin))
    left = (spec.margin - margin) // 2
    image = image.crop((left, left, left + spec.width + margin, left + spec.height + margin))
    return np.asarray(image).reshape(spec.height + margin, spec.width + margin, spec.channels)


def _resized(image: Image.Image, how: str, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    if how == "exact":
        return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    if how == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def suffix(content: bytes) -> str:
    """The ending that the name of an image file should have."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return str(image.format).lower().replace("jpeg", "jpg")


def encode(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A grey (one channel or none) or RGB image as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
