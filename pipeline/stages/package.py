"""Stage 5: the trained model -> a folder that runs without training code, checked against evaluate's predictions."""

import shutil
from pathlib import Path
from typing import Annotated, Any

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation.predictor import restore
from pipeline.packaging import model_card, writer
from pipeline.packaging.onnx import proof
from pipeline.packaging.selftest import comparison
from pipeline.runtime import strict_json
from pipeline.runtime.trust import manifest
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs

TRAINED_ON = paths.TRAINED / "provenance.json"


class Params(StageParams):
    task: Annotated[dict[str, Any], Key("datasets.{dataset}.task")]
    dataset: Annotated[str, Key("dataset")]
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    task = tasks.read(params.task, inputs.dataset).calibrated()
    predictor, tree = restore(params.network, task)
    metrics, training = strict_json.read(paths.DETAILS), strict_json.read(paths.TRAIN_METRICS)
    report, trained_on = strict_json.read(paths.PREPARED / "report.json"), strict_json.read(TRAINED_ON)
    names, source = {"model": params.model, "dataset": params.dataset}, report["data"]["source"]
    trained = writer.Trained(task, params.network, predictor, tree, names)

    folder, predictions = paths.PACKAGE, paths.EVALUATION / "test.parquet"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    writer.write_model(folder, trained)
    task.package_files(folder)
    if why_no_onnx := proof.write(folder, predictor, tree, params.network, paths.features("test"), predictions):
        print(f"note: {folder} has no model.onnx: {why_no_onnx}")
    if paths.BASELINES.exists():
        shutil.copyfile(paths.BASELINES, folder / paths.BASELINES.name)
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
    writer.describe(folder, trained, source=source, data=trained_on["inputs"])
    strict_json.write(folder / "metrics.json", {**metrics, "training": training})
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
    write_licences(folder / model_card.LICENCES, source)
    facts = {"parameters": f"{training['parameters']:,}", "context": getattr(params.network, "context", None)}
    facts |= model_card.facts(folder, source, why_no_onnx)
    card = task.card(metrics["test"], **names, **facts)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    manifest.seal(folder)
    print(f"{folder}: {comparison.compare(folder, paths.prepared('test'), predictions)}")


def write_licences(folder: Path, source: str) -> None:
    """What prepare found beside the data."""
    notes = strict_json.read(paths.PREPARED / "licences.json")
    if not notes:
        print(f"note: {source}: no file beside the data names its licence: the model card says so")
        return
    folder.mkdir()
    for name, text in notes.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
