"""Stage 2: tables -> arrays that map into memory, and all that inference needs; fitted on the training split only.

Writes a folder of arrays for each split; task.json, which names the labels in the order of the model's outputs and says
what was measured on the training split; the tokenizer or vocabulary, where there is one; and report.json.
"""

import shutil
from typing import Annotated, Any

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.config.params import Key, StageParams
from pipeline.encoding import images, tables, tagging, texts, token_files
from pipeline.runtime import strict_json
from pipeline.runtime.encoders.byte_tokenizer import CorpusSpec
from pipeline.runtime.encoders.images import ImageSpec
from pipeline.runtime.encoders.text_tokenizer import TextSpec
from pipeline.runtime.encoders.word_vocabulary import WordSpec
from pipeline.runtime.errors import UserError
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import TaskName

CONTENT = {  # what each task's examples are
    "image-classification": "image",
    "text-classification": "text",
    "sequence-tagging": "words",
    "language-modelling": "text",
}
SPECS = {
    "image-classification": ImageSpec,
    "text-classification": TextSpec,
    "sequence-tagging": WordSpec,
    "language-modelling": CorpusSpec,
}


class Params(StageParams):
    task: Annotated[TaskName, Key("datasets.{dataset}.task")]
    preprocessing: Annotated[dict[str, Any], Key("datasets.{dataset}.preprocessing")]


def main(params: Params, inputs: Inputs) -> None:
    spec = yaml.validate(SPECS[params.task], params.preprocessing, under=f"datasets.{inputs.dataset}.preprocessing")
    if (content := tables.content()) != CONTENT[params.task]:
        raise UserError(
            f"datasets.{inputs.dataset}.task: {params.task} needs examples with {CONTENT[params.task]}, but the reader "
            f"yields {content}: change the task or the reader"
        )
    shutil.rmtree(paths.FEATURES, ignore_errors=True)  # of another source, it may hold splits that this one lacks
    if isinstance(spec, ImageSpec):
        task, report = images.write(spec)
        gist = f"{task.num_classes} labels, images of {spec.height} x {spec.width} x {spec.channels}"
    elif isinstance(spec, TextSpec):
        task, report = texts.write(spec)
        cut = sum(split["cut"] for split in report.values())
        median = report["train"]["tokens"]["median"]
        gist = f"{task.num_classes} labels, {task.vocabulary:,} tokens, {median:.0f} in the median text; {cut:,} cut"
    elif isinstance(spec, WordSpec):
        task, report = tagging.write(spec)
        gist = f"{task.num_classes} labels, {task.vocabulary:,} words and {task.alphabet:,} characters are numbered"
    else:
        task, report = token_files.write(spec)
        train = report["train"]
        letters = train["characters"] / max(train["tokens"], 1)
        gist = (
            f"{task.vocabulary:,} different tokens; {train['tokens']:,} to train on, of {letters:.2f} characters each"
        )
    strict_json.write(paths.FEATURES / "task.json", task.model_dump())
    strict_json.write(paths.FEATURES / "report.json", {split: report.get(split, {}) for split in tables.splits()})
    print(gist)
