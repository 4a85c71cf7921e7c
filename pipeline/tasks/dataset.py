"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import NonNegativeInt

from pipeline.config import paths
from pipeline.config.section import Section, validate
from pipeline.examples.inputs import Inputs
from pipeline.examples.task import Task
from pipeline.readers import Reader
from pipeline.readers.split import Split
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS, TaskName

KINDS = {kind.model_fields["settings"].annotation: kind.model_fields["kind"].default for kind in get_args(Inputs)}


CURES = {
    "label": " (of a table: label)",
    "labels": " (of a table: labels)",
    "numbers": " (of a table: targets)",
}


class DatasetSection(Section):
    task: TaskName
    reader: Reader
    source: str
    split: Split
    max_bad_rows: NonNegativeInt  # rows or files that may be unusable; more are an error
    preprocessing: dict[str, Any]
    target: dict[str, Any]


class Dataset(NamedTuple):
    """A section, its parts typed by its task and by what its reader yields."""

    section: DatasetSection
    task: type[Task]
    preprocessing: Section
    target: Section

    @property
    def inputs(self) -> str:
        """The kind of inputs that a network must read."""
        return KINDS[type(self.preprocessing)]


def read(content: Any, name: str, path: Path = paths.PARAMS) -> Dataset:
    """The section `datasets.NAME`. Raises UserError for the first mistake in it."""
    key = f"datasets.{name}"
    section = validate(DatasetSection, content, path, under=key)
    task = TASKS[section.task]
    settings = preprocessing(task, section.reader.content, section.reader.labels_are, name, path)
    target = validate(task.Target, section.target, path, under=f"{key}.target")
    if wrong := task.check_target(target, getattr(section.reader, "targets", None) or ()):
        raise UserError(f"{path}: {key}.target.{wrong}")
    return Dataset(section, task, validate(settings, section.preprocessing, path, under=f"{key}.preprocessing"), target)


def preprocessing(task: type[Task], content: str, labels: str, name: str, path: Path = paths.PARAMS) -> type[Section]:
    """The settings for examples with this content. Raises UserError where the task cannot learn from them."""
    kind = task.model_fields["name"].default
    if content not in task.preprocessing:
        needed = " or ".join(task.preprocessing)
        raise UserError(
            f"{path}: datasets.{name}.task: {kind} needs examples with {needed}, but the reader yields {content}: "
            "change the task or the reader"
        )
    if task.labels_are not in (None, labels):
        raise UserError(
            f"{path}: datasets.{name}.task: {kind} needs {task.labels_are}, but the reader yields {labels}: change the "
            f"task, or what the reader takes{CURES.get(task.labels_are, '')}"
        )
    return task.preprocessing[content]
