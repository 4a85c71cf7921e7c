"""Pictures of a result, as PNG files with the same bytes for the same figures."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8
from matplotlib.figure import Figure

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def curves(history: pd.DataFrame) -> Figure:
    """Loss and accuracy by epoch, training beside validation."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for split in ("train", "validation"):
            axes.plot(history["epoch"], history[f"{split}_{name}"], marker="o", markersize=3, label=split)
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return figure


def confusion(counts: Int[np.ndarray, "k k"], labels: tuple[str, ...]) -> Figure:
    """Rows are the true labels, columns the predicted; the colour is the share of the row."""
    size = 2.5 + 0.4 * len(labels)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # k k
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true")
    if len(labels) <= 30:  # else the numbers do not fit
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    return figure


def calibration(bins: pd.DataFrame) -> Figure:
    """How often a prediction is right, by how sure it was; on the diagonal, it is as sure as it should be."""
    figure = Figure(figsize=(3.5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    sizes = 10 + 190 * bins["examples"] / bins["examples"].max()
    axes.scatter(bins["confidence"], bins["accuracy"], s=sizes, clip_on=False)  # some stand on the edge
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def explained(images: UInt8[np.ndarray, "n h w c"], pixels: Float[np.ndarray, "n h w"], titles: list[str]) -> Figure:
    """Each image beside what spoke for the prediction (red) and against it (blue)."""
    columns = 6
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2 * columns, 1.35 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, pixel, title in zip(grid.flat, images, pixels, titles):
        height, width, channels = image.shape
        reach = np.abs(pixel).max() or 1.0
        left, right = (0, width, height, 0), (width, 2 * width, height, 0)
        axes.imshow(image[..., 0] if channels == 1 else image, cmap="gray", vmin=0, vmax=255, extent=left)
        axes.imshow(pixel, cmap="seismic", vmin=-reach, vmax=reach, extent=right)
        axes.set_xlim(0, 2 * width)
        axes.set_title(title, fontsize=7)
    return figure


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
