"""Stage 5: the trained model -> a folder that runs without training code, checked against evaluate's predictions."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import jax

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation.predictor import restore
from pipeline.models import weights
from pipeline.packaging.onnx import proof
from pipeline.runtime import package, strict_json
from pipeline.runtime.errors import UserError
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs


class Params(StageParams):
    task: Annotated[dict[str, Any], Key("datasets.{dataset}.task")]
    dataset: Annotated[str, Key("dataset")]
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    task = tasks.read(params.task, inputs.dataset)
    predictor, tree = restore(params.network, task)
    metrics, training = strict_json.read(paths.EVALUATE_METRICS), strict_json.read(paths.TRAIN_METRICS)
    names = {"model": params.model, "dataset": params.dataset}
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the function contains this machine's file names

    folder = paths.PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "model.jaxexp").write_bytes(task.export(predictor, tree, params.network))
    if (explanations := task.export_explanations(predictor, tree)) is not None:
        (folder / "explain.jaxexp").write_bytes(explanations)
    weights.write(folder / "model.safetensors", tree)
    config = {"network": params.network.model_dump(), **task.configuration(predictor, tree, params.network)}
    strict_json.write(folder / "config.json", {"task": task.name, **names, **config})
    task.package_files(folder)
    if why := proof.write(
        folder, predictor, tree, params.network, paths.features("test"), paths.EVALUATION / "test.parquet"
    ):
        print(f"note: {folder} has no model.onnx: {why}")
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
    copy_runtime(folder / "runtime")
    strict_json.write(folder / "metrics.json", {**metrics, "training": training})
    history = {
        "dataset": params.dataset,
        "data": strict_json.read(paths.PREPARED / "report.json")["data"],
        "train": strict_json.read(paths.TRAINED / "provenance.json"),
        "evaluate": strict_json.read(paths.EVALUATION / "provenance.json"),
        "package": provenance.record(inputs, params),
    }
    strict_json.write(folder / "provenance.json", history)
    (folder / "sample").mkdir()
    samples = task.samples(folder / "sample", params.network)
    strict_json.write(folder / "sample" / "expected.json", {"samples": samples})
    facts = {"parameters": f"{training['parameters']:,}", "context": getattr(params.network, "context", None)}
    card = task.card(metrics["test"], **names, **facts)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    package.seal(folder)

    # In a new process, since this one has loaded the training code.
    selftest = [sys.executable, "-m", "pipeline", "selftest", folder, paths.features("test")]
    if subprocess.run([*selftest, paths.EVALUATION / "test.parquet"], check=False).returncode:
        raise UserError(f"{folder}: its self-test failed: see above")


def copy_runtime(folder: Path) -> None:
    """The code that encodes raw inputs and runs the model: in use it is the very code of preprocessing."""
    source = Path(package.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder, ignore=ignore, copy_function=shutil.copyfile)
