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
BATCHES = 25  # in an epoch, at least, where a batch size of `auto` can give them


def _positive_or_auto(value: Any) -> Any:
    if value == "auto" or (type(value) is int and value > 0):
        return value
    raise PydanticCustomError("no_count", "must be a positive integer or auto")


CountOrAuto: TypeAlias = Annotated[PositiveInt | Literal["auto"], BeforeValidator(_positive_or_auto)]


class Augmentation(Section):
    """Random changes to training images, different in each epoch: see pipeline/examples/augmentation.py."""

    shift: Annotated[int, Field(ge=0)] = 0
    """Moves each image by up to so many pixels; the background fills the gap. For digits, letters, products."""
    flip: bool = False
    """Mirrors half of the images. Not where left and right differ, as in letters or road signs."""
    policy: Literal["photos", "trivial-augment"] | None = None
    """How to change frame, angle and colours. For small sets of photographs, with three times the epochs."""


class Mesh(Section):
    """Devices that train as one: data x fsdp x tensor of them."""

    data: PositiveInt = 1
    """Groups of devices, each with the whole state."""
    fsdp: PositiveInt = 1
    """Devices of a group, which share the state (Zhao et al. 2023, arXiv:2304.11277): for models too large for one."""
    tensor: PositiveInt = 1
    """Devices that share each layer of a gpt (Shoeybi et al. 2019, arXiv:1909.08053)."""

    @property
    def size(self) -> int:
        return self.data * self.fsdp * self.tensor


class EarlyStopping(Section):
    patience: PositiveInt
    """Training ends when the monitored metric has not improved for so many epochs."""


class TrainingSection(Section):
    """The settings as they are written: some may be left to the size of the data."""

    epochs: CountOrAuto = "auto"
    """Passes over the training split. `auto`: 10, or more if 10 make fewer than 1,000 steps."""
    batch_size: CountOrAuto = "auto"
    """Examples per step. `auto`: the largest of 8, 16 and 32 that gives at least 25 batches, or else 8. Larger batches
    are faster on a GPU, and need a higher learning rate."""
    learning_rate: PositiveFloat = 1e-3
    """The peak of the schedule. Tune it first, in factors of three."""
    optimizer: Optimizer = Adam(name="adam")
    """The update rule, by `name`, and its options: the next table."""
    schedule: Schedule = Cosine(name="cosine")
    """How the learning rate changes from step to step, by `name`, and its options: the table after that."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Pulls weights towards 0. Raise it (adamw, muon: 0.01 to 0.1) when training is good and validation is not."""
    gradient_clip: PositiveFloat | None = None
    """Clips gradients to this global norm. Set it to 1.0 when the loss jumps or is not finite."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Mixes each target with the uniform distribution by so much; regression ignores it. For noisy labels: 0.1."""
    monitor: str | None = None
    """The epoch with the best of this on the validation split is kept: `loss`, `accuracy`, `macro_f1`, `span_f1`,
    `micro_f1`, `r2` or `mae`, as the task has them. Empty: the task's own. With rare classes: `macro_f1`."""
    early_stopping: EarlyStopping | None = None
    """`{patience: 3}` ends training when the `monitor` metric has not improved for 3 epochs."""
    augmentation: Augmentation | None = None
    """Random changes to training images. For a few hundred or thousand photographs."""
    microbatches: PositiveInt = 1
    """Parts in which a batch is processed: more need less memory and more time."""
    mesh: Mesh | None = None
    """Several devices that train as one: `data`, `fsdp` and `tensor`."""
    epoch_steps: PositiveInt | None = None
    """Of language models: batches per epoch. Empty: one pass over the text. For text that is too much for a pass."""

    @field_validator("microbatches")
    @classmethod
    def _are_even(cls, parts: int, others: ValidationInfo) -> int:
        size = others.data.get("batch_size", parts)
        if size == "auto" and parts > 1:
            raise PydanticCustomError("auto", "needs a batch_size other than auto")
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
