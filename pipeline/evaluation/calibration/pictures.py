"""Pictures of reliability, of what sure answers reach, and of how probabilities rank. Bins and points are those of the
tables behind them.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation import metrics
from pipeline.evaluation.calibration import ranking
from pipeline.evaluation.plots import STYLE, short

NAMED = 10  # labels with a curve of their own
FAINT = {"color": "0.6", "alpha": 0.4}


@mpl.rc_context(STYLE)
def reliability(panels: dict[str, pd.DataFrame], x: str, y: str) -> Figure:
    """For each of the panels, by its title, how often predictions of a certain confidence are right, with the 95 %
    interval; on the diagonal the two are equal. Below, how many predictions each point stands for.
    """
    figure = Figure(figsize=(3.6 * len(panels), 4.4), layout="constrained")
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(3, 1))
    most = max(bins["examples"].to_numpy().max() for bins in panels.values())
    for (upper, lower), (title, bins) in zip(grid.T, panels.items()):
        confidence, accuracy = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
        counts = bins["examples"].to_numpy(float)
        ends = np.array([metrics.wilson(*one) for one in zip(accuracy.tolist(), counts.tolist())])  # n 2
        upper.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        upper.vlines(confidence, *ends.T, linewidth=1, alpha=0.6)
        upper.plot(confidence, accuracy, "o", markersize=4, clip_on=False)
        upper.set(title=title, xlim=(0, 1.02), ylim=(0, 1.02))
        lower.bar(confidence, bins["examples"], width=0.03)
        lower.set(yscale="log", ylim=(0.7, 2 * most))
        lower.yaxis.set_major_formatter("{x:,.0f}")
    grid[0, 0].set(ylabel=y)
    grid[1, 0].set(ylabel="examples")
    figure.supxlabel(x, fontsize=9)
    return figure


@mpl.rc_context(STYLE)
def coverage(curve: pd.DataFrame, what: str) -> Figure:
    """Accuracy by the share of answers that are given, the surest first, with its 95 % intervals."""
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(curve["coverage"], curve["accuracy_low"], curve["accuracy_high"], alpha=0.2, linewidth=0)
    axes.plot(curve["coverage"], curve["accuracy"], marker="o", markersize=3)
    axes.set(xlabel=f"share of {what} that are answered, the surest first", ylabel="accuracy", xlim=(0, 1.02))
    return figure


@mpl.rc_context(STYLE)
def ranked(found: ranking.Ranking) -> Figure:
    """ROC and precision-recall curves, each label against the rest, and their mean. Of many labels each is a faint
    line without a name.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    of_label = found.scores.set_index("label")
    few = len(found.labels) <= NAMED
    panels: Any = zip(
        figure.subplots(1, 2),
        (ranking.FALSE_POSITIVES, ranking.RECALLS),
        (found.true_positives, found.precisions),
        (("false positive rate", "true positive rate"), ("recall", "precision")),
        ("roc_auc", "average_precision"),
    )
    for axes, x, rows, (across, up), area in panels:
        for label, row in zip(found.labels, rows):
            named = f"{short(label)} {of_label.at[label, area]:.3f}"
            axes.plot(x, row, linewidth=1, **({"label": named} if few else FAINT))
        if len(found.labels) > 2:
            mean = f"mean {np.nanmean(of_label[area]):.3f}"
            axes.plot(x, rows.mean(axis=0), color="black", linestyle="--" if few else "-", label=mean)
        title = {"roc_auc": "area under the ROC curve", "average_precision": "average precision"}[area]
        axes.set(xlabel=across, ylabel=up, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.legend(frameon=False, fontsize=7, title=title, title_fontsize=7)
    return figure
