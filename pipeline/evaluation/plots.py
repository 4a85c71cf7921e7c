"""Plots of metrics and of mistakes, as PNG files: equal figures give equal bytes."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Integer, UInt8
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from pipeline.config import paths
from pipeline.evaluation import metrics

# Labels are text: a "$" in one begins no formula.
STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
mpl.rcdefaults()  # the user's matplotlibrc must not change the figures
CLASSES = 20  # in the confusion matrix, at most
TITLE, NOTE = 0.4, 0.3  # inches: of two lines above an image, of one below all
COLUMNS = 6  # of explained images
LONGEST = 36  # characters of a name
FORMULAS, BOXES = ("cm", "STIX"), "Last Resort"  # matplotlib's fonts: of formulas; of boxes in place of letters


def write_confusion(
    targets: Integer[np.ndarray, " n"], guesses: Int[np.ndarray, " n"], labels: tuple[str, ...], *, errors_only: bool
) -> None:
    """The confusion of all classes, or of the most confused where there are many: a picture, and the pairs as a table
    for `dvc plots`. Words and tokens are many and most are right, which would fill the table: `errors_only` leaves
    those out of it, not out of the picture.
    """
    classes = metrics.most_confused(targets, guesses, classes=len(labels), shown=CLASSES)
    shown = np.isin(targets, classes) & np.isin(guesses, classes)
    if errors_only:
        shown &= targets != guesses
    names = np.array(labels)
    paths.TABLES.mkdir(parents=True, exist_ok=True)
    pairs = pd.DataFrame({"actual": names[targets[shown]], "predicted": names[guesses[shown]]})
    pairs.to_csv(paths.CONFUSION, index=False, lineterminator="\n")
    counts, totals = metrics.confusion(targets, guesses, classes), np.bincount(targets, minlength=len(labels))[classes]
    save(confusion(counts, totals, tuple(names[classes].tolist())), paths.IMAGES / "confusion.png")


@mpl.rc_context(STYLE)
def curves(history: pd.DataFrame, metric: str) -> Figure:
    """Loss and the task's metric by epoch, training beside validation."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name, title in zip(figure.subplots(1, 2), ("loss", "metric"), ("loss", metric)):
        for split in ("train", "validation"):
            axes.plot(history["epoch"], history[f"{split}_{name}"], marker="o", markersize=3, label=split)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return figure


@mpl.rc_context(STYLE)
def confusion(counts: Int[np.ndarray, "k k"], totals: Int[np.ndarray, " k"], labels: tuple[str, ...]) -> Figure:
    """Rows are the true labels, columns the predicted ones; the colour is the share of all with this true label, of
    which there are `totals`.
    """
    size = 2.5 + 0.4 * len(labels)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(totals[:, None], 1)  # k k
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [short(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted", ylabel="true")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    return figure


@mpl.rc_context(STYLE)
def regression(values: Float[np.ndarray, "n k"], targets: Float[np.ndarray, "n k"], names: list[str]) -> Figure:
    """For each target a row: predicted by true values, and residuals by predicted values; on the line, both agree."""
    figure = Figure(figsize=(8, 3.2 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 2, squeeze=False)
    for (left, right), name, predicted, true in zip(grid, names, values.T, targets.T):
        low, high = min(predicted.min(), true.min()), max(predicted.max(), true.max())
        left.plot([low, high], [low, high], color="grey", linewidth=0.8)
        left.scatter(true, predicted, s=6, alpha=0.4, linewidths=0)
        left.set(xlabel=f"true {short(name)}", ylabel="predicted")
        right.axhline(0, color="grey", linewidth=0.8)
        right.scatter(predicted, predicted - true, s=6, alpha=0.4, linewidths=0)
        right.set(xlabel=f"predicted {short(name)}", ylabel="predicted - true")
    return figure


@mpl.rc_context(STYLE)
def explained(
    images: UInt8[np.ndarray, "n h w c"],
    overlays: list[UInt8[np.ndarray, "p q 3"]],
    titles: list[tuple[str, str]],
    note: str,
) -> Figure:
    """Each image beside itself under a map of what counts, beneath a title of two lines; `note` stands below all."""
    rows = -(-len(images) // COLUMNS)
    each = images.shape[1] / images.shape[2] + TITLE  # inches: an image is one wide
    figure = Figure(figsize=(2 * COLUMNS, each * rows + NOTE), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    figure.supxlabel(note, fontsize=7)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, overlay, title in zip(grid.flat, images, overlays, titles):
        height, width, channels = image.shape
        left, right = (0, width, height, 0), (width, 2 * width, height, 0)
        axes.imshow(image[..., 0] if channels == 1 else image, cmap="gray", vmin=0, vmax=255, extent=left)
        axes.imshow(overlay, extent=right)
        axes.set_xlim(0, 2 * width)
        axes.set_title("\n".join(map(short, title)), fontsize=7)
    return figure


@mpl.rc_context(STYLE)
def faithfulness(curves: dict[str, Float[np.ndarray, "n s"]], method: str) -> Figure:
    """The answer as the parts that count most are taken away first, or come first, beside a random order: means over
    the examples, and two standard errors.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    share = np.linspace(0, 1, curves["deletion"].shape[1])
    left, right = figure.subplots(1, 2)
    for axes, name, what in ((left, "deletion", "taken away"), (right, "insertion", "there")):
        for key, label in ((name, "what counts most first"), (f"random_{name}", "in a random order")):
            values = curves[key]
            mean, error = values.mean(0), 2 * values.std(0) / len(values) ** 0.5
            (line,) = axes.plot(share, mean, label=label)
            axes.fill_between(share, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set(xlabel=f"share of the parts that are {what}", ylabel="the answer", title=name)
    left.legend(frameon=False, loc="upper right")
    figure.suptitle(method, fontsize=9)
    return figure


@mpl.rc_context(STYLE)  # ticks are made when a figure is drawn
def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _choose_fonts(figure.findobj(Text))
    figure.savefig(path, dpi=100, metadata={"Software": None})


def short(name: str) -> str:
    """A name on one line, cut to fit."""
    line = "".join(c if c.isprintable() else " " for c in name).strip()
    end = 10  # characters: a title ends with a probability
    return line if len(line) <= LONGEST else f"{line[: LONGEST - end - 1]}\N{HORIZONTAL ELLIPSIS}{line[-end:]}"


def _choose_fonts(texts: Any) -> None:
    """Letters that the default font lacks are drawn in the first installed font that has them, or as boxes."""
    usual = mpl.rcParams["font.sans-serif"][0]
    lacking = {ord(c) for text in texts for c in text.get_text() if c != "\n"} - _letters(font_manager.findfont(usual))
    if not lacking:
        return
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith(FORMULAS)]
    fonts.sort(key=lambda font: (font.name.startswith(BOXES), font.weight != 400, font.name, font.fname))
    families = [usual]
    for font in fonts:
        if has := lacking & _letters(font.fname):
            families.append(font.name)
            lacking -= has
    for text in texts:
        text.set_fontfamily(families)


@cache
def _letters(font: str) -> frozenset[int]:
    """The code points that a font file draws; none where it cannot be read."""
    try:
        return frozenset(FT2Font(font).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
