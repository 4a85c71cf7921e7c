"""Texts with coloured parts, and images, as a page for the browser, which can draw every script."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pipeline.runtime.encoders import images

HEAD = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.7 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
p {{ overflow-wrap: anywhere; border-left: 3px solid #ddd; padding-left: 1em }}
b {{ font-weight: 600; unicode-bidi: isolate }}
span {{ border-radius: 3px }}
.pre {{ white-space: pre-wrap }}
</style>
<h1>{title}</h1>
<p>{legend}</p>
"""
SIDE = 160  # pixels of a picture
IMAGE = "min-width:64px;image-rendering:pixelated"  # an icon of 8 x 8 pixels is seen too
FULL = 8.0  # nats: a loss that is drawn in full colour, a chance of one in 3,000


class Explained(NamedTuple):
    answer: str
    truth: str
    source: str  # the file and row that it was read from
    pieces: list[str]  # the text, in parts
    weights: Float[np.ndarray, " _"]  # of each part, for the answer (positive) or against it


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
    sections = []
    for one in explained:
        largest = float(np.abs(one.weights).max(initial=0)) or 1.0
        text = "".join(_piece(piece, w) for piece, w in zip(one.pieces, (one.weights / largest).tolist()))
        sections.append(f'{_heading(one)}<p class="pre">{text}</p>\n')
    _write(path, title, legend, sections)


def write_pictures(path: Path, title: str, shown: Sequence[Pictured], legend: str) -> None:
    _write(path, title, legend, [f"{_heading(one)}<p>{picture(one.content)}</p>\n" for one in shown])


def _heading(one: Explained | Pictured) -> str:
    answer, truth, source = (html.escape(text) for text in (one.answer, one.truth, one.source))
    return f"<h3><b>{answer}</b> ({truth})</h3>\n<code>{source}</code>\n"


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
        pieces = (_piece(piece, min(loss / FULL, 1.0)) for piece, loss in zip(passage.pieces, passage.losses.tolist()))
        sections.append(f'<h3>{passage.loss:.3f} nats a token</h3>\n<p class="pre">{"".join(pieces)}</p>\n')
    legend = f"The redder a token, the higher its loss: full red is {FULL:g} nats or more."
    _write(path, "Passages with the highest and the lowest loss", legend, sections)


def _write(path: Path, title: str, legend: str, sections: list[str]) -> None:
    page = HEAD.format(title=html.escape(title), legend=html.escape(legend)) + "".join(sections)
    path.write_text(page, encoding="utf-8", newline="\n")


def _piece(piece: str, weight: float) -> str:
    """A part of a text, coloured by its weight of -1 to 1."""
    opacity = abs(weight) * 0.75
    colour = "220,40,40" if weight > 0 else "40,80,220"
    text = html.escape(piece)
    return f'<span style="background:rgba({colour},{opacity:.2f})">{text}</span>' if opacity >= 0.05 else text
