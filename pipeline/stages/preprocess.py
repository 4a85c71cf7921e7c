"""Stage 2: tables -> arrays that can be mapped into memory, and what encodes new inputs, fitted on training data only.

Writes a folder of arrays for each split; task.json, with the labels in the order of the model's outputs and what was
measured on the training split; the settings, tokenizer or vocabulary that encode an input; and report.json.
"""

import shutil
from typing import Annotated, Any

from pipeline.config import paths
from pipeline.config.params import Key, StageParams
from pipeline.config.preprocessing import (
    CorpusPreprocessing,
    ImagePreprocessing,
    TextPreprocessing,
    WordPreprocessing,
)
from pipeline.config.section import validate
from pipeline.encoding import images, tables, tagging, texts, token_files
from pipeline.encoding.fit_tokenizer import VocabularyTooSmall
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import Task, TaskName

CONTENT = {  # what each task's examples are
    "image-classification": "image",
    "text-classification": "text",
    "sequence-tagging": "words",
    "language-modelling": "text",
}
SETTINGS = {
    "image-classification": ImagePreprocessing,
    "text-classification": TextPreprocessing,
    "sequence-tagging": WordPreprocessing,
    "language-modelling": CorpusPreprocessing,
}

Preprocessing = ImagePreprocessing | TextPreprocessing | WordPreprocessing | CorpusPreprocessing


class Params(StageParams):
    task: Annotated[TaskName, Key("datasets.{dataset}.task")]
    preprocessing: Annotated[dict[str, Any], Key("datasets.{dataset}.preprocessing")]


def main(params: Params, inputs: Inputs) -> None:
    section = f"datasets.{inputs.dataset}.preprocessing"
    settings = validate(SETTINGS[params.task], params.preprocessing, under=section)
    if (content := tables.content()) != CONTENT[params.task]:
        raise UserError(
            f"datasets.{inputs.dataset}.task: {params.task} needs examples with {CONTENT[params.task]}, but the reader "
            f"yields {content}: change the task or the reader"
        )
    shutil.rmtree(paths.FEATURES, ignore_errors=True)  # it may hold splits of another source
    try:
        task, report, summary = write(settings)
    except VocabularyTooSmall as error:
        raise UserError(f"{paths.PARAMS}: {section}.vocabulary: {error}") from error
    strict_json.write(paths.FEATURES / "task.json", task.model_dump())
    strict_json.write(paths.FEATURES / "report.json", {split: report.get(split, {}) for split in tables.splits()})
    print(summary)


def write(settings: Preprocessing) -> tuple[Task, dict[str, Any], str]:
    """Writes the arrays of every split; returns the facts of the task, the report, and a line that sums them up."""
    if isinstance(settings, ImagePreprocessing):
        task, report = images.write(settings)
        return task, report, f"{task.num_classes} labels, images of {' x '.join(map(str, task.input_shape))}"
    if isinstance(settings, TextPreprocessing):
        task, report = texts.write(settings)
        cut = sum(split["cut"] for split in report.values())
        median = report["train"]["tokens"]["median"]
        summary = f"{task.num_classes} labels, {task.vocabulary:,} tokens, {median:.0f} in the median text; {cut:,} cut"
        return task, report, summary
    if isinstance(settings, WordPreprocessing):
        task, report = tagging.write(settings)
        summary = f"{task.num_classes} labels, {task.vocabulary:,} words and {task.alphabet:,} characters have ids"
        return task, report, summary
    task, report = token_files.write(settings)
    train = report["train"]
    characters = train["characters"] / max(train["tokens"], 1)
    return (
        task,
        report,
        f"{task.vocabulary:,} different tokens; {train['tokens']:,} to train on, of {characters:.2f} characters each",
    )
