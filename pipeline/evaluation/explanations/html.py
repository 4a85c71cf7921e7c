"""Texts with coloured parts, and images, as a page for the browser, which can draw every script."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pipeline.runtime.encoders import images
from pipeline.runtime.explanations import page
from pipeline.runtime.explanations.page import Explained

SIDE = 160  # pixels of a picture
IMAGE = "min-width:64px;image-rendering:pixelated"  # an icon of 8 x 8 pixels is seen too
FULL = 8.0  # nats: a loss that is drawn in full colour, a chance of one in 3,000


class Pictured(NamedTuple):
    answer: str
    truth: str
    source: str
    content: bytes  # an image file


class Passage(NamedTuple):
    loss: float  # the mean over its tokens, in nats
    pieces: list[str]
    losses: Float[np.ndarray, " _"]  # of each piece, in nats


def write_explained(path: Path, title: str, explained: list[Explained], legend: str) -> None:
    """Positive weights are red, negative ones blue; a text's largest has the full colour."""
    _write(path, title, legend, [page.section(one) for one in explained])


def write_pictures(path: Path, title: str, shown: Sequence[Pictured], legend: str) -> None:
    sections = [f"{page.heading(one.answer, one.truth, one.source)}<p>{picture(one.content)}</p>\n" for one in shown]
    _write(path, title, legend, sections)


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
        sections.append(f'<h3>{passage.loss:.3f} nats a token</h3>\n<p class="pre">{"".join(pieces)}</p>\n')
    legend = f"The redder a token, the higher its loss: full red is {FULL:g} nats or more."
    _write(path, "Passages with the highest and the lowest loss", legend, sections)


def _write(path: Path, title: str, legend: str, sections: list[str]) -> None:
    path.write_text("".join([page.head(title, legend), *sections]), encoding="utf-8", newline="\n")
