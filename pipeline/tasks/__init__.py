"""The kinds of task: what is learnt. A new one is one new file here, its part in runtime/tasks, and its place in KINDS.

What each says of itself is listed in examples/task.py.
"""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, RootModel
from pydantic_core import PydanticCustomError

from pipeline.config import paths
from pipeline.config.section import validate
from pipeline.examples.task import Task
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.tasks.classification import Classification
from pipeline.tasks.language_modelling import LanguageModelling
from pipeline.tasks.multi_label_classification import MultiLabelClassification
from pipeline.tasks.regression import Regression
from pipeline.tasks.sequence_tagging import SequenceTagging

KINDS = (Classification, LanguageModelling, MultiLabelClassification, Regression, SequenceTagging)
TASKS: dict[str, type[Task]] = {task.model_fields["name"].default: task for task in KINDS}


def _known(name: str) -> str:
    if name not in TASKS:
        raise PydanticCustomError("unknown_task", "must be one of {known}", {"known": ", ".join(TASKS)})
    return name


TaskName: TypeAlias = Annotated[str, AfterValidator(_known)]


class _File(RootModel[dict[str, Any]]):
    pass


def read(settings: dict[str, Any], dataset: str, path: Path = paths.FEATURES / "task.json") -> Task:
    """The task that preprocess wrote, with the section `datasets.DATASET.task` as it is now. Raises UserError where
    the file is missing or damaged, or the section wrong.
    """
    content = validate(_File, strict_json.read(path), path).root
    if content.get("name") not in TASKS:
        raise UserError(f"{path}: name must be one of {', '.join(TASKS)}, not {content.get('name')!r}: run `dvc repro`")
    task = validate(TASKS[content["name"]], content, path)
    return task.model_copy(update={"settings": validate(task.Settings, settings, under=f"datasets.{dataset}.task")})
