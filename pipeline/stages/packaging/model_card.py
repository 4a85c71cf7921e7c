"""README.md, the model card: what the model does, its test figures, and how to use it. The texts are in cards/."""

import string
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import paths
from pipeline.tasks import Labelled, LanguageModelling

CARDS = Path(__file__).with_name("cards")
ROWS = 30  # classes or documents in the table, at most


def classifier(task: Labelled, *, model: str, dataset: str, figures: dict[str, Any]) -> str:
    rows = _common_figures(figures)
    if "macro" in figures:
        rows["macro F1"] = f"{figures['macro']['f1']:.4f}"
        rows["calibration error"] = f"{figures['calibration_error']:.4f}"
    for group in ("unseen", "spans"):
        rows |= {f"{group}: {key}": f"{value:.4g}" for key, value in figures.get(group, {}).items()}
    classes = pd.read_csv(paths.EVALUATION / "per_class_test.csv", keep_default_na=False)
    if len(classes) > ROWS:
        classes = classes.sort_values("examples", ascending=False, kind="stable").head(ROWS)
    return _fill(
        "classifier.md",
        task=task.name,
        model=model,
        dataset=dataset,
        labels=", ".join(task.labels[:ROWS]) + (", ..." if task.num_classes > ROWS else ""),
        classes=task.num_classes,
        figures=_figures(rows),
        examples=f"{figures['examples']:,}",
        per_class=_markdown(classes),
        use=_fill(f"{task.name}.md").strip(),
    )


def language_model(
    task: LanguageModelling, *, model: str, dataset: str, figures: dict[str, Any], context: int, parameters: int
) -> str:
    rows = _common_figures(figures)
    for name in ("nats_per_character", "bits_per_byte", "perplexity", "baseline_nats_per_character"):
        rows[name.replace("_", " ")] = f"{figures[name]:.4f}"
    return _fill(
        "language-modelling.md",
        task=task.name,
        model=model,
        dataset=dataset,
        parameters=f"{parameters:,}",
        vocabulary=f"{task.vocabulary:,}",
        context=context,
        figures=_figures(rows),
        tokens=f"{figures['tokens']:,}",
        per_document=_markdown(pd.read_csv(paths.EVALUATION / "per_document_test.csv").head(ROWS)),
    )


def _common_figures(figures: dict[str, Any]) -> dict[str, str]:
    """What each task has."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    return {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "loss, nats": f"{figures['loss']:.4f}",
        "accuracy of the baseline": f"{figures['baseline_accuracy']:.4f}",
    }


def _fill(card: str, **values: Any) -> str:
    return string.Template((CARDS / card).read_text(encoding="utf-8")).substitute(values)


def _figures(rows: dict[str, str]) -> str:
    return _markdown(pd.DataFrame({"test figure": list(rows), "value": list(rows.values())}))


def _markdown(table: pd.DataFrame) -> str:
    """The table in Markdown. Cells are text by then, so that a class called "1e5" keeps its name."""
    cells = table.map(lambda x: f"{x:.3f}" if isinstance(x, float) else str(x).replace("|", "\\|"))
    return cells.to_markdown(index=False, disable_numparse=True)
