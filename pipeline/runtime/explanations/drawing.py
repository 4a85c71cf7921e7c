"""A picture as it was given, beside the same with the parts that speak for an answer and against it in colour."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from ..encoders import images
from ..encoders.specs import ImageSpec

LEAST, MOST = 224, 1024  # pixels of a shown picture's longer side: smaller ones are enlarged, larger ones reduced
GAP, LINE, SIZE = 8, 18, 13  # pixels: between and around pictures, of a line of text, of its letters
FULL = 0.99  # the quantile of the weights that is drawn in full colour: one outlier would pale all others
PALE, STRONG = 0.3, 0.85  # the picture's contrast under the colours; how much a full colour covers
RED, BLUE = np.array([202, 0, 32]), np.array([5, 90, 200])
LEGEND = "red speaks for it, blue against it"


def explained(
    content: bytes, spec: ImageSpec, maps: Sequence[Float[np.ndarray, "h w"]], titles: Sequence[str]
) -> bytes:
    """A PNG file with a row for each answer: its title, the picture, and the picture under its map."""
    picture = shown(content)
    width, height = picture.size
    font = ImageFont.load_default(SIZE)
    lines = [_latin(title) for title in titles]
    row = 2 * LINE + height + GAP
    wide = max(3 * GAP + 2 * width, 2 * GAP + int(max(font.getlength(line) for line in [*lines, LEGEND])))
    sheet = Image.new("RGB", (wide, GAP + row * len(titles)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (line, weights) in enumerate(zip(lines, maps)):
        top = GAP + row * i
        draw.text((GAP, top), line, "black", font)
        draw.text((GAP, top + LINE), LEGEND, "#666666", font)
        sheet.paste(picture, (GAP, top + 2 * LINE))
        sheet.paste(overlaid(picture, laid_over(weights, picture.size, spec)), (2 * GAP + width, top + 2 * LINE))
    return as_png(sheet)


def shown(content: bytes) -> Image.Image:
    """An image file, upright, in RGB on white, at a size that people can look at."""
    picture = images.load(content, "RGB", (MOST, MOST))
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    longer = max(picture.size)
    if longer > MOST:
        width, height = (max(1, round(side * MOST / longer)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    scale = -(-LEAST // longer)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def laid_over(weights: Float[np.ndarray, "h w"], size: tuple[int, int], spec: ImageSpec) -> Float[np.ndarray, "p q"]:
    """A map of what the model sees, as a map of a picture of this width and height: 0 where the model does not see it.

    The model's image lies in the picture as `encoders.images` cuts it out, resized, cropped or padded.
    """
    width, height = size
    scales = [width / (spec.width + spec.margin), height / (spec.height + spec.margin)]
    if spec.resize != "exact":
        scales = [min(scales) if spec.resize == "shorter" else max(scales)] * 2
    (across, down), inner = scales, spec.margin // 2
    left = width / 2 - (spec.width + spec.margin) / 2 * across + inner * across
    top = height / 2 - (spec.height + spec.margin) / 2 * down + inner * down
    own = Image.fromarray(np.asarray(weights, np.float32))
    # Pixel x of the picture is pixel (x - left) / across of the map.
    placed = own.transform(
        (width, height),
        Image.Transform.AFFINE,
        (1 / across, 0, -left / across, 0, 1 / down, -top / down),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(placed, np.float64)


def overlaid(picture: Image.Image, weights: Float[np.ndarray, "h w"]) -> Image.Image:
    """The picture in pale grey; of a hundred pixels, the one with the largest weight has the full colour."""
    grey = np.asarray(picture.convert("L"), np.float64)[..., None]
    grey = 255 - (255 - grey) * PALE
    full = float(np.quantile(np.abs(weights), FULL)) or float(np.abs(weights).max()) or 1.0
    strength = STRONG * np.minimum(np.abs(weights) / full, 1)[..., None]
    colour = np.where(weights[..., None] > 0, RED, BLUE)
    return Image.fromarray((grey * (1 - strength) + colour * strength).round().astype(np.uint8))


def as_png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _latin(text: str) -> str:
    """What Pillow's own font can draw: other letters as their numbers."""
    return " ".join(text.split()).encode("latin-1", "backslashreplace").decode("latin-1")[:80]
