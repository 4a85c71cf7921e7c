"""The kinds of task: what a model's inputs and targets are, how a batch of them is made, and the loss.

Nothing here knows of models. A task's fields are what preprocess learnt from the data: data/features/task.json.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, RootModel

from pipeline.config.section import validate
from pipeline.runtime import strict_json
from pipeline.tasks.batch import PAD, Batch, Examples, Inputs, Words, lengths
from pipeline.tasks.image_classification import ImageClassification
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.tasks.sequence_tagging import SequenceTagging
from pipeline.tasks.text_classification import TextClassification

Labelled: TypeAlias = ImageClassification | TextClassification | SequenceTagging
Task: TypeAlias = Labelled | LanguageModelling
TaskName: TypeAlias = Literal["image-classification", "text-classification", "sequence-tagging", "language-modelling"]


class File(RootModel[Annotated[Task, Field(discriminator="name")]]):
    """task.json, which preprocess writes."""


def read(path: Path) -> Task:
    """The task in the file `path`. Raises UserError where it is missing or damaged."""
    return validate(File, strict_json.read(path), path).root


__all__ = [
    "PAD",
    "Batch",
    "Examples",
    "ImageClassification",
    "Inputs",
    "Labelled",
    "LanguageModelling",
    "SequenceTagging",
    "Task",
    "TaskName",
    "TextClassification",
    "Words",
    "lengths",
    "read",
]
