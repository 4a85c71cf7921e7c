"""model.onnx is written only where it gives what evaluate wrote of the test split."""

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import small_tasks
from networks import config
from test_onnx import trained

from pipeline.evaluation.predictor import predict
from pipeline.packaging.onnx import proof
from pipeline.tasks.classification import Classification

CASES = {"texts": "textcnn", "sentences": "lstm", "images": "cnn"}


@pytest.fixture
def evaluated(tmp_path):
    """Of a kind of inputs: the arguments for `proof.write`, with a test split and the predictions for it, each of whose
    numbers is off by so much.
    """

    def _evaluated(kind: str, off: float = 0.0) -> Any:
        task: Any = small_tasks.TASKS[kind]()
        predictor, tree = trained(CASES[kind], {}, task)
        examples = small_tasks.examples(task, 70)
        (tmp_path / "test").mkdir()
        ends = {} if examples.starts is None else {"starts": examples.starts}
        for name, array in {**examples.inputs, **ends, "targets": examples.targets}.items():
            np.save(tmp_path / "test" / f"{name}.npy", array)
        found = jax.nn.softmax(predict(predictor, tree["params"], tree["model_state"], examples))
        rows, best = np.asarray(found) + off, np.asarray(found).argmax(-1)
        table = {f"probability of {label}": rows[:, i] for i, label in enumerate(task.labels)}
        if kind == "sentences":
            table = {"prediction": np.array(task.labels)[best], "probability": rows.max(-1)}
        pd.DataFrame(table).to_parquet(tmp_path / "test.parquet")
        task.package_files(tmp_path)
        return tmp_path, predictor, tree, config(CASES[kind]), tmp_path / "test", tmp_path / "test.parquet"

    return _evaluated


@pytest.mark.parametrize("kind", CASES)
def test_it_is_written_where_the_predictions_are_equal(evaluated, kind):
    folder, *rest = evaluated(kind)
    assert proof.write(folder, *rest) is None
    assert (folder / "model.onnx").stat().st_size > 1_000


@pytest.mark.parametrize("kind", ["texts", "sentences"])
@pytest.mark.parametrize("off", [3e-5, np.nan])
def test_it_is_not_where_they_are_not(evaluated, kind, off):
    folder, *rest = evaluated(kind, off)
    assert str(proof.write(folder, *rest)).startswith("its predictions would be up to ")
    assert not (folder / "model.onnx").exists()


def test_after_a_gpu_it_is_compared_with_jax_on_the_cpu(evaluated, monkeypatch):
    folder, *rest = evaluated("texts", off=0.01)  # a GPU rounds products
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert proof.write(folder, *rest) is None
    export = Classification.export_onnx

    def of_other_weights(task: Any, predictor: Any, tree: Any, network: Any) -> bytes:
        return export(task, predictor, jax.tree.map(lambda x: 1.1 * x, tree), network)

    monkeypatch.setattr(Classification, "export_onnx", of_other_weights)
    assert str(proof.write(folder, *rest)).startswith("its predictions would be up to ")


def test_a_network_without_a_graph_has_none(evaluated):
    folder, predictor, tree, network, *rest = evaluated("texts")
    unknown: Any = network.model_copy(update={"name": "mlp"})
    assert proof.write(folder, predictor, tree, unknown, *rest) == (
        "pipeline/packaging/onnx has no graph of the network mlp"
    )
    assert not (folder / "model.onnx").exists()
