"""Examples, and what in them led the model to its answer: a page for the browser, and images also as a picture."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from pipeline.config import paths
from pipeline.evaluation import plots, sources
from pipeline.evaluation.explanations import attribution, html
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.batch import Examples
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.explanations.occlusion import EVALUATIONS
from pipeline.runtime.explanations.page import Explained

MOST = 18  # examples that are explained: images in the figure
TEXTS = 8  # on the page
LEGEND = (
    "The output is computed again without each part of the text: red parts raise it, blue ones lower it. In a text of "
    f"more than {EVALUATIONS} tokens, a part is several tokens. [...] marks what max_length cut out."
)


class Shown(NamedTuple):
    """An example, and which of the network's outputs is explained."""

    row: int  # in its split
    output: int
    answer: str
    truth: str


def write(
    predictor: Predictor, tree: Tree, test: Examples, shown: Sequence[Shown], *, name: str, title: str, output: str
) -> None:
    """Writes the page `name`.html, and of images the picture `name`.png. `title` says what the examples are, `output`
    what the network's outputs are. Nothing is written where nothing is shown.
    """
    if shown:
        write = _images if predictor.task.inputs.kind == "images" else _texts
        write(predictor, tree, test, shown, name, title, output)


def _images(
    predictor: Predictor, tree: Tree, test: Examples, shown: Sequence[Shown], name: str, title: str, output: str
) -> None:
    images = np.asarray(test.inputs["images"][[one.row for one in shown]])
    outputs = np.array([one.output for one in shown], np.int32)
    pixels, errors = attribution.integrated_gradients(predictor, tree["params"], tree["model_state"], images, outputs)
    note = (
        f"{title}. Integrated gradients from a black image: red pixels raise {output}, blue ones lower it; "
        f"their sum equals the difference between the two up to {float(np.max(errors)):.2g}"
    )
    titles = [(one.answer, f"({one.truth})") for one in shown]
    plots.save(plots.explained(images, np.asarray(pixels), titles, note), paths.IMAGES / f"{name}.png")
    own = sources.examples("test", [one.row for one in shown], ["image", "source"])
    pictured = [
        html.Pictured(one.answer, one.truth, row["source"], row["image"]) for one, row in zip(shown, own, strict=True)
    ]
    legend = f"The images as they were read. {paths.IMAGES / name}.png shows which pixels count."
    html.write_pictures(paths.EVALUATION / f"{name}.html", title, pictured, legend)


def _texts(
    predictor: Predictor, tree: Tree, test: Examples, shown: Sequence[Shown], name: str, title: str, output: str
) -> None:
    shown, starts = shown[:TEXTS], np.asarray(test.starts)
    texts = [np.asarray(test.inputs["tokens"][starts[one.row] : starts[one.row + 1]]) for one in shown]
    outputs = [one.output for one in shown]
    occlusions = attribution.occlusion(predictor, tree["params"], tree["model_state"], texts, outputs)
    tokenizer = text_tokenizer.load(paths.TOKENIZER)
    sections: list[Explained] = []
    own = sources.examples("test", [one.row for one in shown], ["text", "source"])
    for one, row, tokens, (borders, drops) in zip(shown, own, texts, occlusions, strict=True):
        own_text = text_tokenizer.pieces(tokenizer, row["text"], cast(TextSpec, predictor.task.inputs.settings.spec))
        if len(own_text) != len(tokens):
            raise UserError(
                f"{paths.TOKENIZER}: does not give the stored tokens of {row['source']}; `dvc repro` makes both again"
            )
        parts = ["".join(own_text[start:end]) for start, end in zip(borders, borders[1:])]
        sections.append(Explained(one.answer, one.truth, row["source"], parts, drops))
    legend = LEGEND.replace("The output", output[:1].upper() + output[1:])
    html.write_explained(paths.EVALUATION / f"{name}.html", title, sections, legend)
