"""An image as the model saw it, beside the pixels that speak for an answer and against it, as a PNG file."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

SIDE = 224  # pixels of the drawn image's longer side, at least
GAP, LINE, SIZE = 8, 18, 13  # pixels: between and around images, of a line of text, of its letters
FULL = 0.99  # the quantile of the weights that is drawn in full colour: one outlier would pale all others
RED, BLUE = np.array([214, 30, 30]), np.array([30, 70, 214])
LEGEND = "red speaks for it, blue against it"


def explained(image: UInt8[np.ndarray, "h w c"], pixels: Float[np.ndarray, "n h w"], titles: Sequence[str]) -> bytes:
    """A row for each answer: its title, the image, and the image in grey with its pixels coloured by their weight."""
    height, width = image.shape[:2]
    scale = max(1, -(-SIDE // max(height, width)))
    font = ImageFont.load_default(SIZE)
    row = 2 * LINE + height * scale + GAP
    wide = 3 * GAP + 2 * width * scale
    lines = [_latin(title) for title in titles]
    wide = max(wide, 2 * GAP + int(max(font.getlength(line) for line in [*lines, LEGEND])))
    sheet = Image.new("RGB", (wide, GAP + row * len(titles)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (line, weights) in enumerate(zip(lines, pixels)):
        top = GAP + row * i
        draw.text((GAP, top), line, "black", font)
        draw.text((GAP, top + LINE), LEGEND, "#777777", font)
        shown = (np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image, overlaid(image, weights))
        for place, array in enumerate(shown):
            picture = Image.fromarray(array).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            sheet.paste(picture, (GAP + place * (width * scale + GAP), top + 2 * LINE))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def overlaid(image: UInt8[np.ndarray, "h w c"], weights: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image in pale grey; of a hundred pixels, the one with the largest weight has the full colour."""
    grey = 255 - (255 - image.mean(axis=2, keepdims=True)) * 0.35
    full = float(np.quantile(np.abs(weights), FULL)) or float(np.abs(weights).max()) or 1.0
    strength = np.minimum(np.abs(weights) / full, 1)[..., None]
    colour = np.where(weights[..., None] > 0, RED, BLUE)
    return (grey * (1 - strength) + colour * strength).round().astype(np.uint8)


def _latin(text: str) -> str:
    """What Pillow's own font can draw: other letters as their numbers."""
    return " ".join(text.split()).encode("latin-1", "backslashreplace").decode("latin-1")[:80]
