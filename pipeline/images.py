"""Bytes of an image file -> pixels as the model takes them; the same code in preprocess and in the served package.

The rule: EXIF orientation is honoured; what is transparent lies on black; 16 bits become the upper 8; grey is the
luma of ITU-R 601-2; the picture is resized to height x width exactly, without keeping its proportions.
"""

import io
import warnings
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from pydantic import PositiveInt

from pipeline.errors import UserError
from pipeline.params import Section

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 100_000_000  # 300 MB decoded: room for a large photograph, none for a bomb of a few kilobytes


class ImageSpec(Section):
    """The size and colour that images are brought to."""

    height: PositiveInt
    width: PositiveInt
    colour: Literal["grey", "rgb"]

    @property
    def channels(self) -> int:
        return 1 if self.colour == "grey" else 3


def decode(content: bytes, spec: ImageSpec, name: str) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of an image file of any size and mode. Raises UserError that names the image as `name`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata alone does no harm
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise UserError(f"{name}: {size} pixels are too many (limit {MAX_PIXELS:,})")
                image.draft("L" if spec.colour == "grey" else "RGB", (2 * spec.width, 2 * spec.height))
                return _pixels(image, spec)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds of error for a damaged file
        kinds = ", ".join(FORMATS)
        what = "is empty" if not content else f"is not a readable {kinds} image ({type(error).__name__})"
        raise UserError(f"{name}: {what}") from error


def _pixels(image: Image.Image, spec: ImageSpec) -> UInt8[np.ndarray, "h w c"]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel; Pillow's own conversion would clip them
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    image = image.convert("L" if spec.colour == "grey" else "RGB")
    if image.size != (spec.width, spec.height):
        image = image.resize((spec.width, spec.height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image).reshape(spec.height, spec.width, spec.channels)


def encode(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A grey (one channel or none) or RGB image as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
