"""What the page says of the data: how much there is, how it varies, what it looks like, whether splits differ."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.config import paths
from pipeline.evaluation import sources
from pipeline.evaluation.dataset import drift, traits
from pipeline.evaluation.dataset.drift import Drift
from pipeline.evaluation.report import charts, examples, wording
from pipeline.evaluation.report.charts import Chart
from pipeline.runtime import strict_json

LABELS = 30  # listed, at most
HISTOGRAMS = 4
SAMPLE = 2_000  # training examples whose traits are shown beside those of the test split
LENGTHS = {"document": "tokens of a document", "tokens": "tokens of a text", "words": "words of a sentence"}
SPREAD = {"median": "median", "percentile_95": "95th percentile", "longest": "most"}
LEFT_OUT = {
    "dropped": "Duplicates dropped",
    "kept_in_train": "Kept in training",
    "refused": "Refused",
    "unlabelled": "Without labels",
    "changed": "Labels changed",
}


class Balance(NamedTuple):
    label: str
    counts: list[int]  # by split
    share: float  # of the largest training count, 0 to 100


class Random(NamedTuple):
    label: str
    source: str
    body: Markup


def splits(report: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name, one["examples"]) for name, one in report["splits"].items()]


def balance(report: dict[str, Any]) -> tuple[list[Balance], int]:
    """The labels by how often training has them, and how many more there are. None where examples have no labels."""
    counts = {name: one["labels"] for name, one in report["splits"].items()}
    labels = {label: None for one in counts.values() for label in one}
    ordered = sorted(labels, key=lambda label: (-counts["train"].get(label, 0), label))
    most = max(counts["train"].values(), default=1)
    rows = [
        Balance(label, [one.get(label, 0) for one in counts.values()], 100 * counts["train"].get(label, 0) / most)
        for label in ordered
    ]
    return rows[:LABELS], max(len(rows) - LABELS, 0)


def left_out(report: dict[str, Any]) -> list[tuple[str, str, int, str]]:
    """What prepare left out, kept or changed: what, why, how many, and the first place."""
    return [
        (title, reason, one["count"], one["examples"][0])
        for name, title in LEFT_OUT.items()
        for reason, one in report.get(name, {}).items()
    ]


def lengths(test: pd.DataFrame, seed: int) -> list[Chart]:
    """Histograms of what differs between examples, of training and test."""
    rows = traits.sampled("train", SAMPLE, seed)
    train, test = traits.numbers(traits.of("train", rows)), traits.numbers(test)
    varied = [name for name in test if len(np.unique(test[name].to_numpy())) > 2][:HISTOGRAMS]
    return [
        charts.histogram(
            f"How {name} is distributed in training and test",
            {"train": train[name].to_numpy(float), "test": test[name].to_numpy(float)},
            x_label=str(name),
        )
        for name in varied
        if len(test) > 10
    ]


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers to be estimated, split by split, from preprocess's report."""
    return [
        {"target": name, "split": split, **figures}
        for split, one in report.items()
        for name, figures in one.get("targets", {}).items()
    ]


def encoded(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """What preprocess says of lengths and cuts: a figure, and its value for each split."""
    rows: dict[str, dict[str, str]] = {}
    for split, one in report.items():
        for name, value in one.items():
            if isinstance(value, dict) and {"median", "longest"} <= value.keys():
                unit = LENGTHS.get(name, name)
                for key, title in SPREAD.items():
                    rows.setdefault(f"{unit}, {title}", {})[split] = wording.number(value[key])
            elif isinstance(value, int | float):
                rows.setdefault(name.replace("_", " "), {})[split] = wording.number(value)
    return [(name, [of.get(split, "") for split in report]) for name, of in rows.items()]


def _label(label: Any) -> str:
    if isinstance(label, dict):
        return ", ".join(f"{name} {value:.4g}" for name, value in label.items())
    return label if isinstance(label, str) else ", ".join(label or []) or "no label"


def _tagged(one: dict[str, Any]) -> Markup:
    """The first words of a sentence, each with its tag."""
    pairs = zip(one["words"], one["label"] or [""] * len(one["words"]))
    words = Markup(" ").join(Markup("<span>{}<sub>{}</sub></span>").format(word, tag) for word, tag in list(pairs)[:60])
    return Markup('<p class="text tagged" dir="auto">{}</p>').format(words)


class Layout(NamedTuple):
    """How random examples are shown."""

    rows: int
    body: Callable[[dict[str, Any]], Markup]
    label: Callable[[Any], str]


LAYOUTS = {  # by what an example holds
    "image": Layout(36, lambda one: examples.plain(one["image"]), _label),
    "text": Layout(8, lambda one: examples.plain(one["text"]), _label),
    "words": Layout(8, _tagged, lambda _: ""),  # each word has its own
}


def sheet(seed: int, *, labelled: bool) -> list[Random]:
    """Random training examples, with their labels where those are learnt."""
    content = traits.content("train")
    layout = LAYOUTS[content]
    rows = np.random.default_rng(seed).permutation(traits.sampled("train", layout.rows, seed)).tolist()
    found = sources.examples("train", rows, [content, "label", "source"])
    return [Random(layout.label(one["label"]) if labelled else "", one["source"], layout.body(one)) for one in found]


def drift_sentence(found: Drift, split: str) -> str:
    """Whether the training split and another are alike, in plain words."""
    differing = [name.removesuffix(", %") for name in drift.different(found.traits)]
    traits_say = f" They differ in {wording.listed(differing)}." if differing else ""
    if found.auc is None:
        few = "The splits hold too few separate documents for a classifier to tell whether they differ."
        return few + traits_say
    figures = f"AUC {found.auc:.2f}, {wording.INTERVAL} {found.low:.2f} to {found.high:.2f}; 0.5 is pure guessing"
    if not found.differs:
        return f"A simple classifier cannot tell {split} examples from training examples ({figures}).{traits_say}"
    how = "easily" if found.auc >= 0.8 else "often" if found.auc >= 0.65 else "a little better than by chance"
    return (
        f"A simple classifier can tell {split} examples from training examples {how} ({figures}): figures on the "
        f"{split} split need not hold for data like the training data.{traits_say}"
    )


def prepared_report() -> dict[str, Any]:
    return strict_json.read(paths.PREPARED / "report.json")  # type: ignore[return-value]
