"""What surrounds the work of every stage: params.yaml is checked, inputs are hashed before and compared after.

It only refuses and warns, so no result depends on it. The stage's own module, which may load JAX, is imported last.
"""

import importlib
from contextlib import nullcontext

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.readers import raw_data
from pipeline.runtime import printing
from pipeline.runtime.errors import UserError
from pipeline.stages import check, library_versions, stage_files
from pipeline.stages.process import compile_cache, parent_watch

COMPILES = ("train", "evaluate", "package")


def run(name: str, *, started_by: int) -> None:
    """Runs the stage `name`, which ends when `started_by`, the process that started it, does."""
    printing.outlive_readers()
    parent_watch.watch(started_by)
    once(name)


def once(name: str) -> None:
    """Runs the stage. Raises UserError where params.yaml is wrong, or anything that the stage reads has changed before
    it ended.
    """
    check.params()
    library_versions.warn(name)
    stage = importlib.import_module(f"pipeline.stages.{name}")
    params, dataset = stage.Params.load(), str(yaml.read()["dataset"])
    if name in ("prepare", "train"):  # prepare is skipped where the data is as it was
        raw_data.warn_of_large()
    inputs = stage_files.take(
        name, dataset=dataset, source=getattr(params, "source", None), model=getattr(params, "model", None)
    )
    with compile_cache.kept() if name in COMPILES else nullcontext():
        stage.main(params, inputs)
    inputs.check()
    if stage.Params.load() != params:
        raise UserError(
            f"{paths.PARAMS}: changed while {name} was running: its result is discarded; run the same command again"
        )
