"""Mistakes, and what in each led the model to its answer: a page for the browser, and images also as a picture."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import plots
from pipeline.evaluation.explanations import examples, html
from pipeline.evaluation.explanations.explainable import Explained, Pictured
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.runtime.explanations import page

MOST = 18  # examples that are explained: images in the figure
NAME = "mistakes"


class Shown(NamedTuple):
    """An example, and which of the network's outputs is explained."""

    row: int  # of evaluation/test.parquet
    output: int
    answer: str
    truth: str


def write(predictor: Predictor, tree: Tree, network: NetworkSettings, shown: Sequence[Shown], *, title: str) -> None:
    """Writes the page mistakes.html and of images the picture mistakes.png. `title` says what the examples are. Nothing
    is written where nothing is shown.
    """
    if not shown:
        return
    kind = examples.explainable(predictor, tree, network, "test")
    rows, outputs = [one.row for one in shown], [one.output for one in shown]
    explained = kind.show(rows, kind.attribute(rows, outputs))
    sections = [
        page.section(page.Explained(one.answer, one.truth, own.source, own.html()))
        for one, own in zip(shown, explained, strict=True)
    ]
    html.write(paths.EVALUATION / f"{NAME}.html", title, kind.legend, sections)
    if isinstance(kind, Pictured):
        _picture(kind.seen(rows), explained, shown, f"{title}. {kind.legend}")


def _picture(images: np.ndarray, explained: Sequence[Explained], shown: Sequence[Shown], note: str) -> None:
    titles = [(one.answer, f"({one.truth})") for one in shown]
    figure = plots.explained(
        images, [html.over(image, own.weights) for image, own in zip(images, explained)], titles, note
    )
    plots.save(figure, paths.IMAGES / f"{NAME}.png")
