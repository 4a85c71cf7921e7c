"""What the tasks share whose examples come with targets: batches of examples, a network's outputs, samples of a table.

Libraries that only some stages need are imported where they are used.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import jax
import numpy as np
from jaxtyping import Array, Float

from pipeline.config import paths
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.task import Task
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:  # they load slowly
    from flax import nnx

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.config.training import Training
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.examples.inputs import Inputs
    from pipeline.loaders.loader import Loader
    from pipeline.packaging.onnx.graph import Graph, Value


class Labelled(Task):
    @abstractmethod
    def loss(self, logits: Float[Array, "b *t k"], batch: Batch, *, training: bool, label_smoothing: float) -> LossSums:
        """The loss of a network's outputs."""

    @abstractmethod
    def predictions(self, logits: Float[Array, "b *t k"]) -> Float[Array, "b *t k"]:
        """What a package's function returns for a network's outputs: probabilities, or values."""

    def onnx_predictions(self, g: "Graph", logits: "Value") -> "Value":
        """`predictions` as nodes of an ONNX graph: a probability for each label, unless a task has other outputs."""
        return g("Softmax", logits, axis=-1)

    def training_examples(self, network: "NetworkSettings") -> int:
        from pipeline.loaders import buckets

        return len(buckets.load(paths.features("train"), self.inputs))

    def loader(
        self, network: "NetworkSettings", settings: "Training", *, seed: int, devices: jax.sharding.Mesh | None
    ) -> "Loader":
        from pipeline.loaders import buckets
        from pipeline.loaders.loader import ExampleLoader

        if settings.epoch_steps:
            raise UserError(f"models.{network.name}.training.epoch_steps: is for language models: remove it")
        examples = buckets.load(paths.features("train"), self.inputs)
        return ExampleLoader(examples, seed=seed, batch=settings.batch_size, devices=devices)

    def validation(self, predictor: "Predictor", network: "NetworkSettings") -> "Callable[[Tree, Tree], LossSums]":
        from pipeline.evaluation.predictor import evaluation_batches, measure
        from pipeline.loaders import buckets
        from pipeline.loaders.device_examples import DeviceExamples

        examples = buckets.load(paths.features("validation"), self.inputs)
        data, batches = DeviceExamples(examples, predictor.mesh), evaluation_batches(examples)
        return partial(measure, predictor, data=data, batches=batches)

    def validation_figure(self, metric: str, predictor: "Predictor") -> "Callable[[Tree, Tree], float] | None":
        if metric in ("loss", self.metric):
            return None
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets
        from pipeline.loaders.device_examples import DeviceExamples

        data = DeviceExamples(buckets.load(paths.features("validation"), self.inputs), predictor.mesh)
        targets = np.asarray(data.examples.targets)

        def measure(params: "Tree", model_state: "Tree") -> float:
            return self.figure(metric, predict(predictor, params, model_state, data), targets)

        return measure

    @abstractmethod
    def figure(self, metric: str, logits: Float[np.ndarray, "n k"], targets: np.ndarray) -> float:
        """One of `metrics` other than the loss and `metric`, of the validation split."""

    def loss_sums(
        self,
        model: Any,
        batch: Batch,
        *,
        mesh: jax.sharding.Mesh | None = None,
        training: bool = False,
        rngs: "nnx.Rngs | None" = None,
        label_smoothing: float = 0.0,
    ) -> LossSums:
        logits = model(batch.inputs, training=training, rngs=rngs)  # b *t k
        return self.loss(logits, batch, training=training, label_smoothing=label_smoothing)

    def calibrate(self, predictor: "Predictor", tree: "Tree", settings: "EvaluationSettings") -> Self:
        from pipeline.evaluation.predictor import predict
        from pipeline.loaders import buckets

        examples = buckets.load(paths.features("validation"), self.inputs)
        outputs = predict(predictor, tree["params"], tree["model_state"], examples)
        strict_json.write(paths.FITTED, self.fitted(outputs, np.asarray(examples.targets), settings))
        return self.calibrated()

    @abstractmethod
    def fitted(
        self, outputs: Float[np.ndarray, "n k"], targets: np.ndarray, settings: "EvaluationSettings"
    ) -> dict[str, Any]:
        """What the network's outputs for the validation split say: the content of evaluation/calibration.json."""

    def export(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        from pipeline.packaging import export

        return export.export_predictions(predictor, tree, self.predictions)

    def export_explanations(self, predictor: "Predictor", tree: "Tree") -> bytes | None:
        from pipeline.packaging import export

        slopes = export.export_image_slopes if self.inputs.kind == "images" else export.export_token_slopes
        return slopes(predictor, tree)

    def export_onnx(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        from pipeline.packaging.onnx import export

        return export.export_predictions(predictor, tree, network.name, self.onnx_predictions)

    def signature(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        from pipeline.packaging import signature

        shape = [-1, *([-1] if self.inputs.per_token else []), self.outputs]
        return signature.of_predictions(self.inputs, shape, self.output_name)

    @classmethod
    def unpack(cls, inputs: "Inputs", config: dict[str, Any], labels: dict[str, Any]) -> Self:
        """labels.json has the task's own fields; see `package_files`."""
        fields = {"counts": (0,) * len(labels["labels"]), "examples": 0, **labels}
        return cls(inputs=inputs, **{name: value for name, value in fields.items() if name in cls.model_fields})

    def samples(self, folder: Path, network: "NetworkSettings") -> list[dict[str, Any]]:
        from pipeline.packaging import samples

        raw = samples.raw_inputs(folder)
        return [sample | {"answer": answer} for sample, answer in zip(raw, self.answers(raw))]

    @abstractmethod
    def answers(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a package must answer to these first examples of the test split, by evaluate's predictions."""
