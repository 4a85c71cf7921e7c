"""Optimisers and learning-rate schedules: their settings in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from pipeline.config.section import Section
from pipeline.runtime.errors import UserError

Share = Annotated[float, Field(ge=0, lt=1)]


class SGD(Section):
    """Gradient descent with momentum (Sutskever et al. 2013), classical or Nesterov's."""

    name: Literal["sgd"]
    momentum: Share = 0.0
    """Share of the last update that is kept: 0.9 is usual."""
    nesterov: bool = False
    """Use Nesterov momentum."""


class Adagrad(Section):
    """Duchi et al. 2011, jmlr.org/papers/v12/duchi11a.html: suits rare features, because the larger a weight's past
    gradients, the smaller its steps.
    """

    name: Literal["adagrad"]


class Adam(Section):
    """Kingma and Ba 2015, arXiv:1412.6980. Weight decay is added to the gradient (L2)."""

    name: Literal["adam"]
    b1: Share = 0.9
    """Decay of the gradient's running average."""
    b2: Share = 0.999
    """Decay of its square's: 0.95 to 0.99 for small batches or language models."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""


class AdamW(Section):
    """Loshchilov and Hutter 2019, arXiv:1711.05101: decoupled weight decay, scaled by the learning rate."""

    name: Literal["adamw"]
    b1: Share = 0.9
    """Decay of the gradient's running average."""
    b2: Share = 0.999
    """Decay of its square's: 0.95 to 0.99 for small batches or language models."""
    eps: PositiveFloat = 1e-8
    """Added to the divisor."""


class Muon(Section):
    """Jordan et al. 2024 (kellerjordan.github.io/posts/muon): the averaged gradient of a matrix is made nearly
    orthogonal and scaled to the size of an AdamW step (Liu et al. 2025, arXiv:2502.16982). AdamW updates embedding
    tables, and everything that is not a matrix.
    """

    name: Literal["muon"]
    momentum: Share = 0.95
    """Decay of the gradient's running average."""
    b2: Share = 0.95
    """Of AdamW, whose b1 is 0.9."""


class Constant(Section):
    """The same learning rate in all steps."""

    name: Literal["constant"]


class Cosine(Section):
    """Linear from 0 during the fraction `warmup` of all steps, then half a cosine down to 0 (arXiv:1608.03983)."""

    name: Literal["cosine"]
    warmup: Share = 0.0
    """0.02 to 0.1 for attention, large batches and high learning rates."""

    def warmup_steps(self, total: int) -> int:
        """The warm-up steps of a run of `total` steps. Raises UserError where none is left for the cosine."""
        steps = round(self.warmup * total)
        if steps and steps >= total:
            raise UserError(
                f"training.schedule.warmup: {self.warmup:g} of {total:,} steps is all of them, so no step has the "
                "full learning rate: lower it, or raise epochs"
            )
        return steps


class Step(Section):
    """Multiplies the learning rate by `factor` every `epochs` epochs."""

    name: Literal["step"]
    epochs: PositiveInt
    """Epochs between two changes."""
    factor: Annotated[float, Field(gt=0, lt=1)]
    """By which each multiplies the learning rate."""


Optimizer = Annotated[SGD | Adagrad | Adam | AdamW | Muon, Field(discriminator="name")]
Schedule = Annotated[Constant | Cosine | Step, Field(discriminator="name")]
