"""Examples as pieces of a page: pictures within it, texts with marked parts."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import plots
from pipeline.evaluation.explanations.examples import explainable
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.runtime.encoders import images

SIDE = 144  # pixels of a picture
SMALL = 64  # up to here a PNG file is small, and shows each pixel
CHARACTERS = 600  # of a text
AROUND = 30  # words around a marked one
TITLE = "The worst mistakes"


def explained(
    predictor: Predictor, tree: Tree, network: NetworkSettings, mistakes: pd.DataFrame
) -> tuple[str, list[Markup]]:
    """How to read the explanations, and each of these mistakes on the test split with what in it led to the answer. Of
    images they are also written as a picture.
    """
    kind, rows = explainable(predictor, tree, network, "test"), mistakes["row"].tolist()
    shown = kind.show(rows, kind.attribute(rows, mistakes["output"].tolist()))
    pictures = [one.picture for one in shown if one.picture]
    if pictures:
        titles = [
            (f"{answer} {remark}", f"(true: {truth})")
            for answer, remark, truth in mistakes[["answer", "remark", "truth"]].to_numpy().tolist()
        ]
        seen, overlays = np.stack([one.seen for one in pictures]), [one.over for one in pictures]
        plots.save(plots.explained(seen, overlays, titles, f"{TITLE}. {kind.legend}"), paths.IMAGES / "mistakes.png")
    return kind.legend, [Markup(one.html()) for one in shown]


def plain(content: Any) -> Markup:
    """An example without an explanation."""
    if isinstance(content, bytes):
        return picture(content, "")
    text = content if isinstance(content, str) else " ".join(content)
    return _text(cut(text))


def cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}\N{HORIZONTAL ELLIPSIS}"


def picture(content: bytes, alt: str) -> Markup:
    """An image file as a thumbnail."""
    image = images.load(content, "RGB", (SIDE, SIDE))
    return _image(image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA"), alt)


def _image(image: Image.Image, alt: str) -> Markup:
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    if max(image.size) <= SMALL or image.mode in ("LA", "RGBA"):
        image.save(out, form := "PNG")
    else:
        image.save(out, form := "JPEG", quality=85)
    data = base64.b64encode(out.getvalue()).decode()
    return Markup('<img src="data:image/{};base64,{}" alt="{}" width="{}" height="{}">').format(
        form.lower(), data, alt, *image.size
    )


def sentence(words: Sequence[str], place: int) -> Markup:
    first = max(place - AROUND, 0)
    before, after = " ".join(words[first:place]), " ".join(words[place + 1 : place + AROUND])
    ellipsis = "\N{HORIZONTAL ELLIPSIS} " if first else ""
    return _marked(f"{ellipsis}{before} ", words[place], f" {after}")


def _marked(before: str, marked: str, after: str) -> Markup:
    return Markup('<p class="text" dir="auto">{}<mark>{}</mark>{}</p>').format(before, marked, after)


def _text(text: str) -> Markup:
    return Markup('<p class="text" dir="auto">{}</p>').format(text)
