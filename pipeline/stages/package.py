"""Stage 5: the trained model -> a folder that runs without training code, checked against evaluate's predictions."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import jax

from pipeline import packaging, tasks
from pipeline.config import paths
from pipeline.config.networks import Network, NetworkSettings
from pipeline.config.params import Key, StageParams
from pipeline.evaluation.predictor import restore
from pipeline.examples.task import Task
from pipeline.models import weights
from pipeline.packaging import model_card, requirements, sbom, signature
from pipeline.packaging.onnx import proof
from pipeline.packaging.selftest import comparison
from pipeline.runtime import package, strict_json
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs

TRAINED_ON = paths.TRAINED / "provenance.json"


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
    strict_json.write(folder / "config.json", {"task": task.name, **names, **configuration(task, params.network)})
    task.package_files(folder)
    predictions = paths.EVALUATION / "test.parquet"
    if why_no_onnx := proof.write(folder, predictor, tree, params.network, paths.features("test"), predictions):
        print(f"note: {folder} has no model.onnx: {why_no_onnx}")
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
    signature.write(folder, f"{params.dataset}-{params.model}", task.signature(predictor, tree, params.network))
    copy_runtime(folder / "runtime")
    strict_json.write(folder / "metrics.json", {**metrics, "training": training})
    report, trained_on = strict_json.read(paths.PREPARED / "report.json"), strict_json.read(TRAINED_ON)
    source = report["data"]["source"]
    history = {
        "dataset": params.dataset,
        "data": report["data"],
        "train": trained_on,
        "evaluate": strict_json.read(paths.EVALUATION / "provenance.json"),
        "package": provenance.record(inputs, params),
    }
    strict_json.write(folder / "provenance.json", history)
    (folder / "sample").mkdir()
    samples = task.samples(folder / "sample", params.network)
    strict_json.write(folder / "sample" / "expected.json", {"samples": samples})
    write_requirements(folder, task.inputs.kind)
    write_licences(folder / model_card.LICENCES, source)
    sbom.write(folder, **names, source=source, data=trained_on["inputs"])
    facts = {"parameters": f"{training['parameters']:,}", "context": getattr(params.network, "context", None)}
    facts |= model_card.facts(folder, task.inputs.kind, samples, source, why_no_onnx)
    card = task.card(metrics["test"], **names, **facts)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    package.seal(folder)
    print(f"{folder}: {comparison.compare(folder, paths.prepared('test'), predictions)}")


def configuration(task: Task, network: NetworkSettings) -> dict[str, Any]:
    """What rebuilds the network and the encoder."""
    inputs = task.inputs
    kind = {"input_kind": inputs.kind, "preprocessing": inputs.settings.model_dump(), **inputs.facts}
    return {"network": network.model_dump(), **kind}


def write_requirements(folder: Path, kind: str) -> None:
    """The libraries that the package needs with its default engine; for images, also those that explain an answer."""
    needed = requirements.names(kind, signature.engines(folder)[0])
    requirements.write(folder / requirements.FILE, needed)
    if kind == "images":
        requirements.write(folder / requirements.FOR_EXPLANATIONS, [*needed, *requirements.ENGINES["jax"]])
    shutil.copyfile(Path(packaging.__file__).with_name("Containerfile"), folder / "Containerfile")


def write_licences(folder: Path, source: str) -> None:
    """What prepare found beside the data."""
    notes = strict_json.read(paths.PREPARED / "licences.json")
    if not notes:
        print(f"note: {source}: no file beside the data names its licence: the model card says so")
        return
    folder.mkdir()
    for name, text in notes.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def copy_runtime(folder: Path) -> None:
    """The code that encodes raw inputs and runs the model: in use it is the very code of preprocessing."""
    source = Path(package.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder, ignore=ignore, copy_function=shutil.copyfile)
