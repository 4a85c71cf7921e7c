"""README.md, the model card: what the model does, its test figures, and how to use it. The texts are in cards/."""

import re
import string
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.examples.task import Task
from pipeline.packaging import usage
from pipeline.packaging.onnx.graph import OPSET
from pipeline.runtime import printing, strict_json

CARDS = Path(__file__).with_name("cards")
LICENCES = "licences"  # a folder of the package
ROWS = 30  # classes or documents in a table, at most
FILES = {  # that a package may have, and what they are
    "model.jaxexp": "the function (StableHLO by `jax.export`, for cpu and cuda): weights, and arrays, to outputs",
    "model.safetensors": "the weights",
    "model.onnx": f"the same function as an ONNX graph of opset {OPSET}, weights inside",
    "explain.jaxexp": "what explains answers by their gradients; needs requirements-explain.txt",
    "baselines.npy": "typical images, each the mean of many training images, to which explanations compare an image",
    "runtime": "the Python code that encodes raw inputs, as in training, and runs the function",
    "signature.json": "inputs and outputs as the Open Inference Protocol names them (-1: any number), limits, engines",
    "config.json": "task, network, settings of the encoder",
    "labels.json": "what the outputs stand for, in their order",
    "image.json": "the encoder: the size of images",
    "tokenizer.json": "the encoder: the tokens of texts; token 0 is padding, or stands before each document",
    "words.json": "the encoder: the ids of words and characters",
    "requirements.txt": "the libraries that it needs, each version pinned by hash",
    "requirements-explain.txt": "those that explanations need",
    "Containerfile": "builds a container image of this folder; not tried where this package was made",
    "sbom.cdx.json": "model, data and libraries as a CycloneDX bill of materials",
    "licences": "what the data's owner says of its licence",
    "metrics.json": "the test figures",
    "provenance.json": "parameters, hashes of inputs and code, versions and device of the training run",
    "sample": "test inputs, and in `expected.json` what this model predicts for them",
}
LAST = ("manifest.json", "size and sha256 of every other file")  # written when all others are there
PROMISE = """\
JAX {jax} made `model.jaxexp`. JAX promises that this version, and those released up to six months after it, can read it
(`pip index versions jax` lists all versions). With any other, `pip install jax=={jax}`, or let
`python -m pipeline repackage` make the package anew from its weights."""
MARKUP = re.compile(r"[\\`*_\[\]<>|~&$#]")  # what has a meaning in Markdown, GitHub's included


def fill(card: str, **values: Any) -> str:
    """The text of a card with these values in it, the names of dataset and model as they are."""
    values |= {name: plain(values[name]) for name in ("dataset", "model") if name in values}
    return string.Template((CARDS / card).read_text(encoding="utf-8")).substitute(values)


def labelled(
    task: Task, *, what: str, metrics: str, figures: dict[str, str], details: str, limits: str, **facts: Any
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
        **facts,
    )


def facts(folder: Path, source: str, why_no_onnx: str | None) -> dict[str, str]:
    """What every card says of the package in `folder`, whose other files are there."""
    signature = strict_json.read(folder / "signature.json")
    kind = strict_json.read(folder / "config.json")["input_kind"]
    samples = strict_json.read(folder / "sample" / "expected.json")["samples"]
    use = fill("use.md", **usage.section(kind, signature, samples, why_no_onnx))
    if "onnx" in signature["engines"]:
        use += fill("onnx.md", by_onnx=usage.by_onnx(signature))
    there = [
        (f"{name}/" if (folder / name).is_dir() else name, FILES[name]) for name in FILES if (folder / name).exists()
    ]
    rows = [(f"`{name}`", what) for name, what in (*there, LAST)]
    files = pd.DataFrame(rows, columns=["file", "content"]).to_markdown(index=False, disable_numparse=True)
    return {
        "library": "onnx" if "onnx" in signature["engines"] else "jax",
        "use": use.strip(),
        "files": files,
        "promise": PROMISE.format(jax=version("jax")),
        "licence": _licence(folder, source),
    }


def _licence(folder: Path, source: str) -> str:
    names = sorted(path.name for path in (folder / LICENCES).glob("*"))
    if names:
        return f"The data has its own licence: see {', '.join(f'`{LICENCES}/{name}`' for name in names)}."
    return (
        f"No file beside the data ({plain(source)}) names its licence: ask its owner before you pass this package on."
    )


def accuracy(figures: dict[str, Any]) -> dict[str, str]:
    """The rows that all tasks with an accuracy have."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    return {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "loss, nats": f"{figures['loss']:.4f}",
        "accuracy of the baseline": f"{figures['baseline_accuracy']:.4f}",
    }


def calibration(figures: dict[str, Any]) -> dict[str, str]:
    """The rows that all tasks with probabilities have."""
    error, before = f"{figures['ece']:.4f}", figures["uncalibrated"]["ece"]
    if figures["temperature"] != 1:
        error += f" with the temperature {figures['temperature']:.3f}, {before:.4f} without"
    rows = {"expected calibration error": error, "Brier score": f"{figures['brier']:.4f}"}
    if sure := figures.get("sure"):
        rows[f"sure answers, for an accuracy of {sure['wanted']:g}"] = f"{sure['coverage']:.4f} of all" + (
            f", accuracy {sure['accuracy']:.4f} (95 % interval {sure['accuracy_low']:.4f} to "
            f"{sure['accuracy_high']:.4f})"
            if "accuracy" in sure
            else ""
        )
    return rows


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
