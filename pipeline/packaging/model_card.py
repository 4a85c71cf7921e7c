"""README.md, the model card: what the model does, its test figures, and how to use it. The texts are in cards/."""

import re
import string
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.examples.task import Task
from pipeline.runtime import printing

CARDS = Path(__file__).with_name("cards")
ROWS = 30  # classes or documents in a table, at most
MARKUP = re.compile(r"[\\`*_\[\]<>|~&$#]")  # what has a meaning in Markdown, GitHub's included


def fill(card: str, **values: Any) -> str:
    """The text of a card with these values in it, the names of dataset and model as they are."""
    values |= {name: plain(values[name]) for name in ("dataset", "model") if name in values}
    return string.Template((CARDS / card).read_text(encoding="utf-8")).substitute(values, jax=version("jax"))


def labelled(
    task: Task, *, what: str, metrics: str, figures: dict[str, str], details: str, limits: str, **names: Any
) -> str:
    """The card of a task whose examples come with targets."""
    return fill(
        "labelled.md",
        task=task.name,
        what=what,
        metrics=metrics,
        figures=figures_table(figures),
        details=details,
        limits=limits,
        use=fill(f"{task.inputs.kind}.md").strip(),
        output=task.output_name,
        **names,
    )


def accuracy(figures: dict[str, Any]) -> dict[str, str]:
    """The rows that all tasks with an accuracy have."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    return {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "loss, nats": f"{figures['loss']:.4f}",
        "accuracy of the baseline": f"{figures['baseline_accuracy']:.4f}",
    }


def figures_table(rows: dict[str, str]) -> str:
    return markdown(pd.DataFrame({"test figure": list(rows), "value": list(rows.values())}))


def read_table(path: Path) -> pd.DataFrame:
    """A table of figures by class or document, whose names in the first column are text: `007`, `1e5`, `null`."""
    return pd.read_csv(path, keep_default_na=False, converters={0: str})


def plain(text: str) -> str:
    """A name as Markdown that shows it as it is, on one line."""
    return MARKUP.sub(r"\\\g<0>", printing.shown(" ".join(text.split())))


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown. Cells are text by then, so that a class called "1e5" keeps its name."""
    cells = table.map(lambda x: f"{x:.3f}" if isinstance(x, float) else plain(str(x)))
    return cells.to_markdown(index=False, disable_numparse=True)
