"""Stage 5: the trained model -> a folder that loads elsewhere, shown to say there what it said here."""

import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jax import export
from jaxtyping import Array, Float, Shaped

from pipeline import images, learner, packaged, paths, provenance, stage, strict_json, weights
from pipeline.errors import UserError
from pipeline.inputs import Inputs
from pipeline.learner import Learner
from pipeline.params import Key, StageParams
from pipeline.tasks import ImageClassification, SequenceTagging, Task, TextClassification

PLATFORMS = ("cpu", "cuda")
SAMPLES = 3
CLASSES = 30  # in the card's table


class Params(StageParams):
    dataset: Annotated[str, Key("dataset")]
    model: Annotated[str, Key("model")]
    network: Annotated[dict[str, Any], Key("models.{model}.network")]


def main(params: Params, inputs: Inputs) -> None:
    learn, task, tree = learner.trained(params.model, params.network)
    folder = paths.PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    weights.write(folder / "model.safetensors", tree)
    (folder / "model.jaxexp").write_bytes(exported(learn, tree, task))
    strict_json.write(folder / "config.json", configuration(params, task))
    strict_json.write(folder / "labels.json", {"labels": task.labels})
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
    figures = strict_json.read(paths.EVALUATE_METRICS)
    strict_json.write(folder / "metrics.json", {**figures, "training": strict_json.read(paths.TRAIN_METRICS)})
    strict_json.write(
        folder / "provenance.json",
        {
            "dataset": params.dataset,
            "train": strict_json.read(paths.MODEL / "provenance.json"),
            "evaluate": strict_json.read(paths.EVALUATION / "provenance.json"),
            "package": provenance.record(inputs, params),
        },
    )
    write_samples(folder / "sample", task)
    (folder / "README.md").write_text(card(params, task, figures["test"]), encoding="utf-8", newline="\n")
    packaged.seal(folder)

    # A fresh process, since this one has all the training code loaded.
    selftest = [sys.executable, "-m", "pipeline.selftest", folder, paths.features("test")]
    if subprocess.run([*selftest, paths.EVALUATION / "test.parquet"], check=False).returncode:
        raise UserError(f"{folder}: its self-test failed, as said above")


def exported(learn: Learner, tree: dict[str, Any], task: Task) -> bytes:
    """(weights by name, inputs of any number and length) -> probabilities, as serialised StableHLO for cpu and cuda."""
    names = list(weights.named(tree))
    structure = jax.tree.structure(tree)

    def function(arrays: dict[str, Array], *inputs: Shaped[Array, "b ..."]) -> Float[Array, "b *t k"]:
        whole = jax.tree.unflatten(structure, [arrays[name] for name in names])
        return jax.nn.softmax(learn.model(whole["params"], whole["rest"])(task.inputs(*inputs)))

    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the file names of this machine are in the function
    b, t = export.symbolic_shape("b, t")
    arrays = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in weights.named(tree).items()}
    inputs = task.signature(b, t).values()
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(arrays, *inputs).serialize())


def configuration(params: Params, task: Task) -> dict[str, Any]:
    """What is needed to rebuild the network and to prepare an input, and the signature of the exported function."""
    match task:
        case ImageClassification():
            facts = {"preprocessing": task.image.model_dump(), "mean": task.mean, "std": task.std}
        case TextClassification():
            facts = {"preprocessing": task.text.model_dump(), "vocabulary": task.vocabulary}
        case SequenceTagging():
            facts = {
                "preprocessing": task.words.model_dump(),
                "vocabulary": task.vocabulary,
                "alphabet": task.alphabet,
            }
    inputs = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in task.signature(-1, -1).items()
    ]
    shape = [-1, *([-1] if isinstance(task, SequenceTagging) else []), task.num_classes]
    return {
        "task": task.name,
        "dataset": params.dataset,
        "model": params.model,
        "network": params.network,
        **facts,
        "platforms": PLATFORMS,
        "inputs": inputs,
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": shape}],
    }


def write_samples(folder: Path, task: Task) -> None:
    """A few raw inputs of the test split, and what evaluate found for them."""
    folder.mkdir()
    table = pd.read_parquet(paths.EVALUATION / "test.parquet")
    samples: list[dict[str, Any]] = []
    if isinstance(task, SequenceTagging):
        words = pq.ParquetFile(paths.PREPARED / "test.parquet")
        for row in next(words.iter_batches(batch_size=SAMPLES)).to_pylist():
            sentence = row["words"][: task.words.max_length]
            found = table[table["id"] == row["id"]][: len(sentence)]
            samples.append({"words": sentence, **_answer(found["prediction"], found["probability"])})
    else:
        content = pq.ParquetFile(paths.PREPARED / "test.parquet")
        for i, row in enumerate(next(content.iter_batches(batch_size=SAMPLES)).to_pylist()):
            label = table["prediction"].iloc[i]
            answer = _answer([label], [table[f"probability of {label}"].iloc[i]])
            if isinstance(task, ImageClassification):
                name = f"{i}.{images.suffix(row['image'])}"
                (folder / name).write_bytes(row["image"])
                samples.append({"file": name, **answer})
            else:
                samples.append({"text": row["text"], **answer})
    strict_json.write(folder / "expected.json", {"samples": samples})


def _answer(labels: Any, likely: Any) -> dict[str, Any]:
    return {"labels": list(labels), "probabilities": [round(float(x), 4) for x in likely]}


def card(params: Params, task: Task, figures: dict[str, Any]) -> str:
    """The model card, from the folder cards beside this file."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    rows = {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "loss, nats": f"{figures['loss']:.4f}",
        "accuracy of the baseline": f"{figures['baseline_accuracy']:.4f}",
    }
    if "macro" in figures:
        rows["macro F1"] = f"{figures['macro']['f1']:.4f}"
        rows["calibration error"] = f"{figures['calibration_error']:.4f}"
    for name in ("unseen", "spans"):
        if name in figures:
            rows |= {f"{name}: {key}": f"{value:.4g}" for key, value in figures[name].items()}
    table = pd.read_csv(paths.EVALUATION / "per_class_test.csv", keep_default_na=False)
    table = table.sort_values("examples", ascending=False, kind="stable")[:CLASSES] if len(table) > CLASSES else table
    lines = [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
    lines += [
        f"| {label} | {p:.3f} | {r:.3f} | {f1:.3f} | {n} |" for label, p, r, f1, n in table.itertuples(index=False)
    ]
    cards = Path(__file__).with_name("cards")
    own = string.Template((cards / f"{task.name}.md").read_text(encoding="utf-8"))
    template = string.Template((cards / "card.md").read_text(encoding="utf-8"))
    return template.substitute(
        task=task.name,
        model=params.model,
        dataset=params.dataset,
        classes=task.num_classes,
        labels=", ".join(task.labels[:CLASSES]) + (", ..." if task.num_classes > CLASSES else ""),
        figures="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
        per_class="\n".join(lines),
        examples=f"{figures['examples']:,}",
        use=own.substitute(folder=paths.PACKAGE).strip(),
    )


if __name__ == "__main__":
    stage.run("package", main, Params)
