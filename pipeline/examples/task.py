"""What a task is: everything that the stages and the commands ask of it, in the order of the stages.

The tasks are in pipeline/tasks, a module each. Networks, training and the stages know this class alone.
"""

from abc import abstractmethod
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from pydantic import Field, SerializeAsAny

from pipeline.config.section import Section
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Inputs
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:  # these stand on this module
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from flax import nnx

    from pipeline.config.evaluation import EvaluationSettings
    from pipeline.config.networks import NetworkSettings
    from pipeline.config.training import Training
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline
    from pipeline.loaders.loader import Loader
    from pipeline.training.trainer import State, Trainer


class TaskSettings(Section):
    """The section `datasets.NAME.task`. A task with settings of its own has a class of this kind with more fields."""

    name: str


class Task(Section):
    """A kind of task, with what preprocess learnt from the data: data/features/task.json."""

    # Of the kind, before any data is seen.
    preprocessing: ClassVar[dict[str, type[Section]]]  # the settings for each content that it can learn from
    labels_are: ClassVar[str | None]  # what a reader must give with each example: see Reader.labels
    class_word: ClassVar[str] = ""  # what people call its different labels
    Settings: ClassVar[type[TaskSettings]] = TaskSettings
    metric: ClassVar[str]  # the name of LossSums' score / score_weight
    metrics: ClassVar[dict[str, bool]]  # what the best epoch may be chosen by, and whether more of it is better
    output_name: ClassVar[str] = "probabilities"  # of what a package's function returns
    output_tolerance: ClassVar[float] = 1e-5  # between two ways to compute these, as a share of those above 1
    headlines: ClassVar[tuple[str, ...]] = ()  # the figures of `evaluate` in metrics/evaluate.json

    # What was learnt from the data.
    name: str
    settings: SerializeAsAny[TaskSettings | None] = Field(default=None, exclude=True)  # see `tasks.read`
    inputs: Annotated[Inputs, Field(discriminator="kind")]

    # check
    @classmethod
    def check_settings(cls, settings: TaskSettings, targets: tuple[str, ...]) -> str | None:
        """What is wrong with the settings, for the names of the reader's targets; None where nothing is."""

    # prepare
    @classmethod
    def learns_one_label(cls) -> bool:
        """Whether each example has one label, its class."""
        return cls.labels_are == "label"

    @classmethod
    @abstractmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Raises UserError where the labels of the splits cannot be learnt. `labels` counts them, by split."""

    # preprocess
    @classmethod
    @abstractmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        """Writes the targets of every split, whose inputs are written; adds figures on them to the report."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What was learnt, in a few words."""

    # train
    @abstractmethod
    def training_examples(self, network: "NetworkSettings") -> int:
        """How many rows of a batch one pass over the training split has."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the network gives, for an example or for each of its tokens."""

    @abstractmethod
    def loader(
        self, network: "NetworkSettings", settings: "Training", *, seed: int, devices: jax.sharding.Mesh | None
    ) -> "Loader":
        """The training split in batches. Raises UserError where it does not fit the settings."""

    @abstractmethod
    def validation(self, predictor: "Predictor", network: "NetworkSettings") -> "Callable[[Tree, Tree], LossSums]":
        """What measures params and model_state on the validation split."""

    @property
    def monitor(self) -> str:
        """What the best epoch is chosen by, unless the settings say otherwise: one of `metrics`."""
        return self.metric

    def validation_figure(self, metric: str, predictor: "Predictor") -> "Callable[[Tree, Tree], float] | None":
        """What computes one of `metrics` of params and model_state; None for those that `validation` sums up: the loss
        and `metric`. Raises UserError where it does not exist for these labels.
        """

    @abstractmethod
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
        """How well the network does on a batch; in training, examples may weigh more or less."""

    def check_memory(
        self, trainer: "Trainer", state: "State", network: "NetworkSettings", settings: "Training"
    ) -> None:
        """Raises UserError where training needs more memory than the device has."""

    # evaluate
    def calibrate(self, predictor: "Predictor", tree: "Tree", settings: "EvaluationSettings") -> Self:
        """This task with what the validation split says of the trained model's probabilities or numbers, which is
        written to evaluation/calibration.json. A task that has no use for that stays as it is.
        """
        return self

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]:
        """What explanations explain of one output each: the log odds of its probability, which go on growing where the
        probability itself is near 1. Here those of a softmax.
        """
        own = jnp.arange(logits.shape[-1])[None] == outputs[:, None]  # b k
        others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=-1)
        return jnp.where(own, logits, 0).sum(-1) - others

    @abstractmethod
    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """Writes the tables, plots and explanations of one test split; returns its figures."""

    def headline_metrics(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Those of the figures that `dvc metrics diff` shows."""
        return {name: figures[name] for name in self.headlines if name in figures}

    # compare
    @classmethod
    @abstractmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        """What `evaluate` wrote of a test split, in the form that two models are compared in; `read` reads a table of
        the folder of that run. Raises UserError where it cannot be used.
        """

    @abstractmethod
    def outcomes(self, split: str) -> "Outcomes":
        """What became of each answer on a split, by the table that `evaluate` wrote."""

    @abstractmethod
    def headline(self, figures: dict[str, Any]) -> "Headline":
        """The one figure to remember, of those that `evaluate` returned."""

    def doubts(self, split: str, logits: "np.ndarray") -> "pd.DataFrame":
        """The labels of a split that are likely wrong: see evaluation/failures/label_errors.py. `logits` are those of
        models that were not trained on these examples. Raises UserError where there are no labels.
        """
        raise UserError(f"{self.name}: its texts have no labels that could be wrong")

    # package
    def calibrated(self) -> Self:
        """This task with what `calibrate` wrote."""
        return self

    @abstractmethod
    def export(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        """The function that a package runs."""

    def export_explanations(self, predictor: "Predictor", tree: "Tree") -> bytes | None:
        """The function that explains a package's answers, where the outputs alone cannot."""

    @abstractmethod
    def export_onnx(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        """The same as an ONNX model. Raises packaging.onnx.export.NoGraph where there is none."""

    def package_files(self, folder: Path) -> None:
        """Writes what the runtime needs besides the encoder and the function."""

    def configuration(self) -> dict[str, Any]:
        """The task's part of config.json: what encodes inputs as the model takes them."""
        inputs = self.inputs
        return {"input_kind": inputs.kind, "preprocessing": inputs.settings.model_dump(), **inputs.facts}

    @abstractmethod
    def signature(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        """The task's part of signature.json."""

    @classmethod
    @abstractmethod
    def unpack(cls, inputs: Inputs, config: dict[str, Any], labels: dict[str, Any]) -> Self:
        """The task of a package, from its config.json and labels.json: enough to export the function again. What was
        counted in the training split is not in a package: it is 0.
        """

    def complete(self, run: "Callable[[], tuple[np.ndarray, np.ndarray]]") -> Self:
        """This task, which `unpack` made from a package of format 4, with what such a package does not say of it. `run`
        returns what this task's function and the package's give for the same inputs.
        """
        return self

    @abstractmethod
    def card(self, figures: dict[str, Any], **names: Any) -> str:
        """The model card, README.md of the package."""

    @abstractmethod
    def samples(self, folder: Path, network: "NetworkSettings") -> list[dict[str, Any]]:
        """A few raw test inputs, and the answers that a package must give. What is a file is written to `folder`."""
