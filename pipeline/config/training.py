"""The settings of a training run: `models.NAME.training` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pipeline.config.optimizers import Optimizer, Schedule
from pipeline.config.section import Section


class Augmentation(Section):
    shift: Annotated[int, Field(ge=0)] = 0  # pixels, at most, up, down, left and right; the background fills the gap
    flip: bool = False  # left to right, half of the images
    policy: Literal["photos", "trivial-augment"] | None = (
        None  # how to change frame, angle and colours: augmentation.py
    )


class Mesh(Section):
    """Devices that train as one: data x fsdp x tensor of them."""

    data: PositiveInt  # groups of devices, each with the whole state
    fsdp: PositiveInt  # devices of a group, which share the state (Zhao et al. 2023, arXiv:2304.11277)
    tensor: PositiveInt = 1  # devices that share each layer of a gpt (Shoeybi et al. 2019, arXiv:1909.08053)

    @property
    def size(self) -> int:
        return self.data * self.fsdp * self.tensor


class EarlyStopping(Section):
    """Ends training when `metric` on the validation split has not improved for `patience` epochs; keeps the best."""

    metric: str  # loss, or the metric of the dataset's task: accuracy, say
    patience: PositiveInt


class Training(Section):
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat  # the schedule's peak
    optimizer: Optimizer
    schedule: Schedule
    weight_decay: Annotated[float, Field(ge=0)]
    gradient_clip: PositiveFloat | None  # the largest global norm of a gradient
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    early_stopping: EarlyStopping | None
    augmentation: Augmentation | None
    microbatches: PositiveInt = 1  # parts in which a batch is processed, to save memory
    mesh: Mesh | None = None  # several devices that train as one
    epoch_steps: PositiveInt | None = None  # for language models: batches per epoch, if not one pass over the text

    @field_validator("microbatches")
    @classmethod
    def _are_even(cls, parts: int, others: ValidationInfo) -> int:
        size = others.data.get("batch_size", parts)
        if size % parts:
            raise PydanticCustomError("uneven", "must divide a batch_size of {size}", {"size": size})
        return parts

    @property
    def part(self) -> int:
        """Examples whose activations are in memory at a time."""
        return self.batch_size // self.microbatches
