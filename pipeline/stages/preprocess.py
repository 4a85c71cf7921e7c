"""Stage 2: tables -> arrays that can be mapped into memory, and what encodes new inputs, fitted on training data only.

Writes a folder of arrays for each split; task.json, with what was learnt from the training split; the settings,
tokenizer or vocabulary that encode an input; and report.json.
"""

import shutil
from typing import Annotated, Any

from pipeline.config import paths
from pipeline.config.params import Key, StageParams
from pipeline.config.section import validate
from pipeline.encoding import inputs as encoding
from pipeline.encoding import tables
from pipeline.encoding.fit_tokenizer import VocabularyTooSmall
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import TASKS, TaskName


class Params(StageParams):
    task: Annotated[TaskName, Key("datasets.{dataset}.task.name")]
    preprocessing: Annotated[dict[str, Any], Key("datasets.{dataset}.preprocessing")]


def main(params: Params, inputs: Inputs) -> None:
    task = TASKS[params.task]
    section = f"datasets.{inputs.dataset}.preprocessing"
    settings = validate(task.preprocessing[tables.content()], params.preprocessing, under=section)
    shutil.rmtree(paths.FEATURES, ignore_errors=True)  # it may hold splits of another source
    try:
        encoded, report, summary = encoding.write(settings)
    except VocabularyTooSmall as error:
        raise UserError(f"{paths.PARAMS}: {section}.vocabulary: {error}") from error
    report = {split: report.get(split, {}) for split in tables.splits()}
    learnt = task.encode(encoded, report)
    strict_json.write(paths.FEATURES / "task.json", learnt.model_dump())
    strict_json.write(paths.FEATURES / "report.json", report)
    print(", ".join(filter(None, (learnt.summary, summary))))
