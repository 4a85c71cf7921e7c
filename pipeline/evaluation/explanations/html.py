"""Pages for the browser, and pictures within them."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from pipeline.runtime.encoders import images
from pipeline.runtime.explanations import drawing, methods, page

SIDE = 160  # pixels of a thumbnail
IMAGE = "min-width:64px;image-rendering:pixelated"  # an icon of 8 x 8 pixels is seen too
FULL = 8.0  # nats: a loss that is drawn in full colour, a chance of one in 3,000


class Passage(NamedTuple):
    loss: float  # the mean over its tokens, in nats
    pieces: list[str]
    losses: Float[np.ndarray, " _"]  # of each piece, in nats


def pictures(own: bytes, over: bytes, said: str) -> str:
    """A picture beside the same under a map, both as PNG files. `said` tells the map in words."""
    style = "max-width:min(100%,512px);height:auto"
    sources = [f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in (own, over)]
    alts = ["The picture", html.escape(f"What counts in it. {said}", quote=True)]
    shown = "\n".join(f'<img style="{style}" src="{src}" alt="{alt}">' for src, alt in zip(sources, alts))
    return f'<figure style="display:flex;flex-wrap:wrap;gap:8px;margin:0.6em 0">{shown}</figure>'


def over(image: UInt8[np.ndarray, "h w c"], weights: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "p q 3"]:
    """An image as the model saw it under a map, enlarged until its pixels can be told apart."""
    height, width = image.shape[:2]
    scale = -(-drawing.LEAST // max(height, width))
    size = (width * scale, height * scale)
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).resize(size, Image.Resampling.NEAREST)
    return np.asarray(drawing.overlaid(picture, methods.enlarged(weights[None], size[::-1])[0]))


def picture(content: bytes) -> str:
    """An image file as a thumbnail within a page."""
    image = images.load(content, "RGB", (SIDE, SIDE))
    shown = image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA")
    shown.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    shown.save(out, "PNG")
    return f'<img style="{IMAGE}" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}" alt="">'


def write_passages(path: Path, passages: list[Passage]) -> None:
    """The higher a token's loss, the redder it is."""
    sections = []
    for passage in passages:
        pieces = (
            page.piece(piece, min(loss / FULL, 1.0)) for piece, loss in zip(passage.pieces, passage.losses.tolist())
        )
        sections.append(f'<h2>{passage.loss:.3f} nats a token</h2>\n<p class="pre">{"".join(pieces)}</p>\n')
    legend = f"The redder a token, the higher its loss: full red is {FULL:g} nats or more."
    write(path, "Passages with the highest and the lowest loss", legend, sections)


def write(path: Path, title: str, legend: str, sections: Sequence[str]) -> None:
    path.write_text("".join([page.head(title, legend), *sections]), encoding="utf-8", newline="\n")
