"""Stage 5: the trained model -> a folder that loads elsewhere, shown to say there what it said here."""

import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import export
from jaxtyping import Array, Float, UInt8

from pipeline import batches, check, errors, images, learner, packaged, paths, provenance, strict_json, weights
from pipeline import params as yaml
from pipeline.errors import UserError
from pipeline.learner import Learner
from pipeline.models import CONFIGS
from pipeline.params import Key, StageParams
from pipeline.tasks import Task

PLATFORMS = ("cpu", "cuda")
SAMPLES = 3


class Params(StageParams):
    dataset: Annotated[str, Key("dataset")]
    model: Annotated[str, Key("model")]
    network: Annotated[dict[str, Any], Key("models.{model}.network")]


def main() -> None:
    check.params()
    params = Params.load()
    task = yaml.validate(Task, strict_json.read(paths.FEATURES / "task.json"), paths.FEATURES / "task.json")
    config = yaml.validate(CONFIGS[params.model], params.network, under=f"models.{params.model}.network")
    learn, tree = learner.restore(config, task, paths.MODEL / "weights.safetensors")
    folder = paths.PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    weights.write(folder / "model.safetensors", tree)
    (folder / "model.jaxexp").write_bytes(exported(learn, tree, task))
    strict_json.write(folder / "config.json", configuration(params, task))
    strict_json.write(folder / "labels.json", {"labels": task.labels})
    strict_json.write(folder / "image.json", task.image.model_dump())
    figures = strict_json.read(paths.EVALUATE_METRICS)
    strict_json.write(folder / "metrics.json", {**figures, "training": strict_json.read(paths.TRAIN_METRICS)})
    strict_json.write(
        folder / "provenance.json",
        {
            "dataset": params.dataset,
            "train": strict_json.read(paths.MODEL / "provenance.json"),
            "evaluate": strict_json.read(paths.EVALUATION / "provenance.json"),
            "package": provenance.record("package", [paths.MODEL / "weights.safetensors"], params, model=params.model),
        },
    )
    write_samples(folder / "sample")
    (folder / "README.md").write_text(card(params, task, figures["test"]), encoding="utf-8", newline="\n")
    packaged.seal(folder)

    # A fresh process, since this one has all the training code loaded.
    selftest = [sys.executable, "-m", "pipeline.selftest", folder, paths.FEATURES / "test"]
    if subprocess.run([*selftest, paths.EVALUATION / "predictions.parquet"], check=False).returncode:
        raise UserError(f"{folder}: its self-test failed, as said above")


def exported(learn: Learner, tree: dict[str, Any], task: Task) -> bytes:
    """(weights by name, images of any number) -> probabilities, as serialised StableHLO for cpu and cuda."""
    names = list(weights.named(tree))
    structure = jax.tree.structure(tree)

    def function(arrays: dict[str, Array], images: UInt8[Array, "b h w c"]) -> Float[Array, "b k"]:
        whole = jax.tree.unflatten(structure, [arrays[name] for name in names])
        return jax.nn.softmax(learn.model(whole["params"], whole["rest"])(images))

    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the file names of this machine are in the function
    (batch,) = export.symbolic_shape("b")
    arrays = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in weights.named(tree).items()}
    images = jax.ShapeDtypeStruct((batch, *task.input_shape), jnp.uint8)
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(arrays, images).serialize())


def configuration(params: Params, task: Task) -> dict[str, Any]:
    """What is needed to rebuild the network, and the signature of the exported function."""
    return {
        "task": task.name,
        "dataset": params.dataset,
        "model": params.model,
        "network": params.network,
        "standardise": {"mean": task.mean, "std": task.std},
        "platforms": PLATFORMS,
        "inputs": [{"name": "images", "dtype": "uint8", "shape": [-1, *task.input_shape]}],
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": [-1, task.num_classes]}],
    }


def write_samples(folder: Path) -> None:
    """A few test images as files, and what evaluate found for them."""
    folder.mkdir()
    test = batches.load(paths.FEATURES / "test")
    table = pd.read_parquet(paths.EVALUATION / "predictions.parquet")
    expected = []
    for row in range(min(SAMPLES, len(table))):
        (folder / f"{row}.png").write_bytes(images.encode(np.asarray(test.inputs[row])))
        label = table["prediction"].to_list()[row]
        likely = table[f"probability of {label}"].to_numpy()[row]
        expected.append({"file": f"{row}.png", "label": label, "probability": round(float(likely), 4)})
    strict_json.write(folder / "expected.json", {"images": expected})


def card(params: Params, task: Task, figures: dict[str, Any]) -> str:
    """The model card, from card.md beside this file."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    rows = {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "macro F1": f"{figures['macro']['f1']:.4f}",
        "loss, nats": f"{figures['loss']:.4f}",
        "calibration error": f"{figures['calibration_error']:.4f}",
    }
    table = pd.read_csv(paths.EVALUATION / "per_class.csv")
    lines = [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
    lines += [
        f"| {label} | {p:.3f} | {r:.3f} | {f1:.3f} | {n} |" for label, p, r, f1, n in table.itertuples(index=False)
    ]
    template = string.Template(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    return template.substitute(
        task=task.name,
        model=params.model,
        dataset=params.dataset,
        classes=task.num_classes,
        labels=", ".join(task.labels),
        figures="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
        per_class="\n".join(lines),
        examples=f"{figures['examples']:,}",
        folder=paths.PACKAGE,
    )


if __name__ == "__main__":
    errors.run(main)
