"""Examples as a page for the browser, all in one file: pictures, texts or tagged sentences, with label and split."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.explanations.html import HEAD
from pipeline.readers.example import Example
from pipeline.runtime.encoders import images

SIDE, CHARACTERS = 160, 1_500  # pixels of a picture; of a text
IMAGE = "min-width:64px;image-rendering:pixelated"  # an icon of 8 x 8 pixels is seen too
FIGURE = "display:inline-block;vertical-align:top;margin:0 1em 1em 0;text-align:center"


class Group(NamedTuple):
    """Examples under one heading."""

    title: str
    examples: Sequence[tuple[str, Example]]  # with the label as text


def write(path: Path, title: str, legend: str, groups: Sequence[Group]) -> None:
    page = HEAD.format(title=html.escape(title), legend=html.escape(legend))
    for group in groups:
        page += f"<h2>{html.escape(group.title)}</h2>\n{''.join(_example(*one) for one in group.examples)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")


def _example(label: str, example: Example) -> str:
    content, heading = example.content, f"<b>{html.escape(label)}</b>" if label else ""
    if isinstance(content, bytes):
        picture = f'<img style="{IMAGE}" src="data:image/png;base64,{_thumbnail(content)}" alt="">'
        return f'<figure style="{FIGURE}">{picture}<figcaption>{heading}</figcaption></figure>\n'
    if isinstance(content, tuple):
        pairs = zip(content, example.label if isinstance(example.label, tuple) else ("",) * len(content))
        words = " ".join(f"{html.escape(word)}<sub>{html.escape(tag)}</sub>" for word, tag in pairs)
        return f"<p>{words}</p>\n"
    more = "..." if len(content) > CHARACTERS else ""
    return f'<p class="pre">{heading} {html.escape(content[:CHARACTERS])}{more}</p>\n'


def _thumbnail(content: bytes) -> str:
    image = images.load(content, "RGB", (SIDE, SIDE))
    shown = image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA")
    shown.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    shown.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
