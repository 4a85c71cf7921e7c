"""Examples as pieces of a page: pictures within it, texts with marked parts."""

import base64
import io
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from pipeline.config import paths
from pipeline.evaluation import sources
from pipeline.evaluation.dataset import traits
from pipeline.evaluation.explanations import attribution
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.batch import Examples
from pipeline.loaders import buckets
from pipeline.runtime.encoders import images, text_tokenizer
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.explanations import drawing, page

SIDE = 144  # pixels of a picture
SMALL = 64  # up to here a PNG file is small, and shows each pixel
CHARACTERS = 600  # of a text
AROUND = 30  # words around a marked one


def fragments(predictor: Predictor, tree: Tree, mistakes: pd.DataFrame) -> list[Markup]:
    """Each of these examples of the test split, with what in it led to the answer."""
    kind = predictor.task.inputs.kind
    rows = mistakes["example"].tolist()
    if "marked" in mistakes:
        return [_marked(*row) for row in mistakes[["before", "marked", "after"]].itertuples(index=False)]
    contents = [row[traits.content("test")] for row in sources.examples("test", rows, [traits.content("test")])]
    if kind == "sentences":
        return [sentence(words, place) for words, place in zip(contents, mistakes["place"].tolist())]
    test = buckets.load(paths.features("test"), predictor.task.inputs)
    explain = _pictures if kind == "images" else _texts
    return explain(predictor, tree, test, mistakes, contents)


def plain(content: Any) -> Markup:
    """An example without an explanation."""
    if isinstance(content, bytes):
        return picture(content, "")
    text = content if isinstance(content, str) else " ".join(content)
    return _text([(cut(text), 0.0)])


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


def _pictures(
    predictor: Predictor, tree: Tree, test: Examples, mistakes: pd.DataFrame, contents: Sequence[bytes]
) -> list[Markup]:
    rows, outputs = mistakes["row"].to_numpy(int), mistakes["output"].to_numpy(np.int32)
    seen = np.asarray(test.inputs["images"][rows])
    weights, _ = attribution.integrated_gradients(predictor, tree["params"], tree["model_state"], seen, outputs)
    return [
        picture(content, "the image")
        + _image(Image.fromarray(drawing.overlaid(image, weight)), "the same, its pixels coloured")
        for content, image, weight in zip(contents, seen, np.asarray(weights))
    ]


def _texts(
    predictor: Predictor, tree: Tree, test: Examples, mistakes: pd.DataFrame, contents: Sequence[str]
) -> list[Markup]:
    starts, tokens = np.asarray(test.starts), test.inputs["tokens"]
    own = [np.asarray(tokens[starts[row] : starts[row + 1]]) for row in mistakes["row"].tolist()]
    outputs = mistakes["output"].tolist()
    drops = attribution.occlusion(predictor, tree["params"], tree["model_state"], own, outputs)
    tokenizer, spec = text_tokenizer.load(paths.TOKENIZER), cast(TextSpec, predictor.task.inputs.settings.spec)
    found = []
    for text, (borders, weights) in zip(contents, drops):
        pieces = text_tokenizer.pieces(tokenizer, text, spec)
        parts = ["".join(pieces[start:end]) for start, end in zip(borders, borders[1:])]
        found.append(_text(_window(list(zip(parts, page.shares(weights))))))
    return found


def _window(parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Of a long text, some CHARACTERS around its weightiest part."""
    if sum(len(text) for text, _ in parts) <= CHARACTERS:
        return parts
    first = last = int(np.argmax([abs(weight) for _, weight in parts]))
    size = len(parts[first][0])
    while size < CHARACTERS and (first > 0 or last < len(parts) - 1):
        first, last = max(first - 1, 0), min(last + 1, len(parts) - 1)
        size = sum(len(text) for text, _ in parts[first : last + 1])
    ends = [("\N{HORIZONTAL ELLIPSIS}", 0.0)]
    return [*(ends if first else []), *parts[first : last + 1], *(ends if last < len(parts) - 1 else [])]


def sentence(words: Sequence[str], place: int) -> Markup:
    first = max(place - AROUND, 0)
    before, after = " ".join(words[first:place]), " ".join(words[place + 1 : place + AROUND])
    ellipsis = "\N{HORIZONTAL ELLIPSIS} " if first else ""
    return _marked(f"{ellipsis}{before} ", words[place], f" {after}")


def _marked(before: str, marked: str, after: str) -> Markup:
    shown = marked if marked.strip() else marked.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n") or "?"
    return Markup('<p class="text" dir="auto">{}<mark>{}</mark>{}</p>').format(before, shown, after)


def _text(parts: Sequence[tuple[str, float]]) -> Markup:
    """Parts that speak for the answer, with a positive weight up to 1, and against it."""
    inner = Markup("").join(
        Markup('<span class="{}" style="--weight:{:.0f}%">{}</span>').format(
            "for" if weight > 0 else "against", 60 * abs(weight), text
        )
        if abs(weight) >= 0.05
        else text
        for text, weight in parts
    )
    return Markup('<p class="text" dir="auto">{}</p>').format(inner)
