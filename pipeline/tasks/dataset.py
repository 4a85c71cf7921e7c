"""The section `datasets.NAME` of params.yaml: where the data lies and what is made of it."""

from pathlib import Path
from typing import Any, NamedTuple, get_args

from pipeline.config import paths
from pipeline.config.section import Section, validate
from pipeline.examples.inputs import Inputs
from pipeline.examples.task import Task, TaskSettings
from pipeline.readers import Reader
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS, TaskName

KINDS = {kind.model_fields["settings"].annotation: kind.model_fields["kind"].default for kind in get_args(Inputs)}

CURES = {
    "label": " (of a table: label)",
    "labels": " (of a table: labels)",
    "numbers": " (of a table: targets)",
}


class DatasetSection(Section):
    """Its parts are mappings that different stages read. What a part may hold depends on the task and the reader."""

    task: dict[str, Any]
    data: Reader
    preprocessing: dict[str, Any]


class _TaskName(Section):
    name: TaskName


class Dataset(NamedTuple):
    """A section, its parts typed by its task and by what its reader yields."""

    task: type[Task]
    settings: TaskSettings
    data: Reader
    preprocessing: Section

    @property
    def inputs(self) -> str:
        """The kind of inputs that a network must read."""
        return KINDS[type(self.preprocessing)]


def read(content: Any, name: str, path: Path = paths.PARAMS) -> Dataset:
    """The section `datasets.NAME`. Raises UserError for the first mistake in it."""
    key = f"datasets.{name}"
    section = validate(DatasetSection, content, path, under=key)
    named = {field: value for field, value in section.task.items() if field == "name"}
    task = TASKS[validate(_TaskName, named, path, under=f"{key}.task").name]
    kind = preprocessing(task, section.data.content, section.data.labels_are, name, path)
    settings = validate(task.Settings, section.task, path, under=f"{key}.task")
    if wrong := task.check_settings(settings, getattr(section.data, "targets", None) or ()):
        raise UserError(f"{path}: {key}.task.{wrong}")
    if wrong := section.data.check_task(task.labels_are):
        raise UserError(f"{path}: {key}.data.{wrong}")
    given = validate(kind, section.preprocessing, path, under=f"{key}.preprocessing")
    return Dataset(task, settings, section.data, given)


def preprocessing(task: type[Task], content: str, labels: str, name: str, path: Path = paths.PARAMS) -> type[Section]:
    """The settings for examples with this content. Raises UserError where the task cannot learn from them."""
    kind = task.model_fields["name"].default
    if content not in task.preprocessing:
        needed = " or ".join(task.preprocessing)
        raise UserError(
            f"{path}: datasets.{name}.task.name: {kind} needs examples with {needed}, but the reader yields {content}: "
            "change the task, or the format of the data"
        )
    if task.labels_are not in (None, labels):
        raise UserError(
            f"{path}: datasets.{name}.task.name: {kind} needs {task.labels_are}, but the reader yields {labels}: "
            f"change the task, or what the reader takes{CURES.get(task.labels_are, '')}"
        )
    return task.preprocessing[content]
