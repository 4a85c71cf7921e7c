"""What the tasks share whose outputs become probabilities: the temperature by which logits are divided before that, and
the probability from which on an answer is sure. Both are of the validation split, by `calibrate`; until then the
temperature is 1. Axes: b batch, t words, n targets, k labels.
"""

import math
from typing import TYPE_CHECKING, Any, Self

from jaxtyping import Array, Float, Int
from pydantic import Field

from pipeline.config import paths
from pipeline.config.section import Section
from pipeline.runtime import strict_json
from pipeline.tasks.labelled import Labelled

if TYPE_CHECKING:
    from pipeline.config.networks import NetworkSettings
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.examples.inputs import Inputs
    from pipeline.packaging.onnx.graph import Graph, Value


class Sure(Section):
    """The accuracy that sure answers are to have, and the probability from which on they have it: None where no
    probability does, and no answer is sure.
    """

    accuracy: float
    threshold: float | None


class Scaled(Labelled):
    temperature: float = Field(default=1.0, gt=0, exclude=True)
    sure: Sure | None = Field(default=None, exclude=True)

    def calibrated(self) -> Self:
        found = strict_json.read(paths.FITTED)
        sure = Sure.model_validate(found["sure"]) if found.get("sure") else None
        return self.model_copy(update={"temperature": float(found["temperature"]), "sure": sure})

    def scaled(self, logits: Float[Array, "b *t k"]) -> Float[Array, "b *t k"]:
        return logits if self.temperature == 1 else logits / self.temperature

    def evidence(self, logits: Float[Array, "b k"], outputs: Int[Array, " b"]) -> Float[Array, " b"]:
        return super().evidence(self.scaled(logits), outputs)

    def onnx_predictions(self, g: "Graph", logits: "Value") -> "Value":
        return g("Softmax", self.onnx_scaled(g, logits), axis=-1)

    def onnx_scaled(self, g: "Graph", logits: "Value") -> "Value":
        return logits if self.temperature == 1 else g("Div", logits, self.temperature)

    @property
    def least_sure(self) -> float | None:
        """The probability from which on an answer is sure; None where answers do not say whether they are."""
        if self.sure is None:
            return None
        return math.inf if self.sure.threshold is None else self.sure.threshold

    def sure_answers(self) -> dict[str, Any]:
        """The part of labels.json that says when an answer is sure."""
        return {"sure": self.sure.model_dump()} if self.sure else {}

    def configuration(self) -> dict[str, Any]:
        return super().configuration() | {"temperature": self.temperature}

    def signature(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        return super().signature(predictor, tree, network) | {"temperature": self.temperature}

    @classmethod
    def unpack(cls, inputs: "Inputs", config: dict[str, Any], labels: dict[str, Any]) -> Self:
        return super().unpack(inputs, config, {"temperature": config.get("temperature", 1.0), **labels})
