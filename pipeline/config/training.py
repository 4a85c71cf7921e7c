"""The settings of a training run: `models.NAME.training` in params.yaml."""

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pipeline.config.optimizers import Adam, Cosine, Optimizer, Schedule
from pipeline.config.section import Section

ENOUGH_STEPS = 1_000  # fewer teach a network little
EPOCHS = 10  # of `auto`, at least
BATCH_SIZES = (8, 16, 32)  # of `auto`
BATCHES = 50  # in an epoch, at least, where a batch size of `auto` can give them


def _positive_or_auto(value: Any) -> Any:
    if value == "auto" or (type(value) is int and value > 0):
        return value
    raise PydanticCustomError("no_count", "must be a positive integer or auto")


CountOrAuto: TypeAlias = Annotated[PositiveInt | Literal["auto"], BeforeValidator(_positive_or_auto)]


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
    """Ends training when the monitored metric has not improved for `patience` epochs."""

    patience: PositiveInt


class TrainingSection(Section):
    """The settings as they are written: some may be left to the size of the data."""

    epochs: CountOrAuto = "auto"
    batch_size: CountOrAuto = "auto"
    learning_rate: PositiveFloat = 1e-3  # the schedule's peak
    optimizer: Optimizer = Adam(name="adam")
    schedule: Schedule = Cosine(name="cosine")
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    gradient_clip: PositiveFloat | None = None  # the largest global norm of a gradient
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    monitor: str | None = None  # the epoch with the best of it is kept; None: the task's own
    early_stopping: EarlyStopping | None = None
    augmentation: Augmentation | None = None
    microbatches: PositiveInt = 1  # parts in which a batch is processed, to save memory
    mesh: Mesh | None = None  # several devices that train as one
    epoch_steps: PositiveInt | None = None  # for language models: batches per epoch, if not one pass over the text

    @field_validator("microbatches")
    @classmethod
    def _are_even(cls, parts: int, others: ValidationInfo) -> int:
        size = others.data.get("batch_size", parts)
        if size == "auto" and parts > 1:
            raise PydanticCustomError("auto", "needs a batch_size that is no auto")
        if size != "auto" and size % parts:
            raise PydanticCustomError("uneven", "must divide a batch_size of {size}", {"size": size})
        return parts

    def resolved(self, examples: int) -> "Training":
        """The settings in effect for a training split of so many examples.

        A batch size of `auto` is the largest of BATCH_SIZES that makes BATCHES batches, or else the smallest. Epochs of
        `auto` are EPOCHS, or as many as make ENOUGH_STEPS.
        """
        size, epochs = self.batch_size, self.epochs
        if size == "auto":
            fitting = (size for size in BATCH_SIZES if size * BATCHES <= examples)
            size = max(fitting, default=min(BATCH_SIZES[0], examples))
        if epochs == "auto":
            steps = self.epoch_steps or max(1, examples // size)
            epochs = max(EPOCHS, math.ceil(ENOUGH_STEPS / steps))
        return Training.model_validate(dict(self) | {"batch_size": size, "epochs": epochs})


class Training(TrainingSection):
    """The settings in effect."""

    epochs: PositiveInt  # type: ignore[assignment]
    batch_size: PositiveInt  # type: ignore[assignment]

    @property
    def part(self) -> int:
        """Examples whose activations are in memory at a time."""
        return self.batch_size // self.microbatches
