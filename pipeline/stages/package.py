"""Stage 5: the trained model -> a folder that runs without training code, checked against evaluate's predictions."""

import shutil
import subprocess
import sys
from typing import Annotated, Any

from pipeline import tasks
from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation.predictor import restore
from pipeline.packaging import writer
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest
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

    folder = paths.PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    writer.write_model(folder, writer.Trained(task, params.network, predictor, tree, names))
    task.package_files(folder)
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
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
    manifest.seal(folder)

    # In a new process, since this one has loaded the training code.
    selftest = [sys.executable, "-m", "pipeline", "selftest", folder, paths.features("test")]
    if subprocess.run([*selftest, paths.EVALUATION / "test.parquet"], check=False).returncode:
        raise UserError(f"{folder}: its self-test failed: see above")
