"""The kinds of task: what is learnt. A new one is one new file here, its part in runtime/tasks, and its place in TASKS.

What each says of itself is listed in examples/task.py.
"""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, RootModel
from pydantic_core import PydanticCustomError

from pipeline.config.section import validate
from pipeline.examples.task import Task
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import Classification
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.tasks.sequence_tagging import SequenceTagging

TASKS: dict[str, type[Task]] = {
    task.model_fields["name"].default: task for task in (Classification, LanguageModelling, SequenceTagging)
}


def _known(name: str) -> str:
    if name not in TASKS:
        raise PydanticCustomError("unknown_task", "must be one of {known}", {"known": ", ".join(TASKS)})
    return name


TaskName: TypeAlias = Annotated[str, AfterValidator(_known)]


class _File(RootModel[dict[str, Any]]):
    pass


def read(path: Path) -> Task:
    """The task in the file `path`, data/features/task.json. Raises UserError where it is missing or damaged."""
    content = validate(_File, strict_json.read(path), path).root
    if content.get("name") not in TASKS:
        raise UserError(f"{path}: name must be one of {', '.join(TASKS)}, not {content.get('name')!r}: run `dvc repro`")
    return validate(TASKS[content["name"]], content, path)
