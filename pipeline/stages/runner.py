"""What is around the work of every stage: its part of params.yaml, what it reads, an orderly end.

Like `check`, it only refuses: no result depends on it.
"""

import importlib
from collections.abc import Callable
from typing import TypeVar

from pipeline.config import params as yaml
from pipeline.config import paths
from pipeline.config.params import StageParams
from pipeline.runtime.errors import UserError
from pipeline.stages import check, parent_watch, stage_files
from pipeline.stages.stage_files import Inputs

P = TypeVar("P", bound=StageParams)


def run(name: str, *, started_by: int) -> None:
    """Runs the stage `name`; it ends when `started_by`, the process that started it, does."""
    parent_watch.watch(started_by)
    stage = importlib.import_module(f"pipeline.stages.{name}")
    once(name, stage.main, stage.Params)


def once(name: str, main: Callable[[P, Inputs], None], cls: type[P]) -> None:
    """Hashes the stage's inputs, runs it, and raises UserError unless they are the same when it has ended."""
    check.params()
    params, dataset = cls.load(), str(yaml.read()["dataset"])
    inputs = stage_files.take(
        name, dataset=dataset, source=getattr(params, "source", None), model=getattr(params, "model", None)
    )
    main(params, inputs)
    inputs.check()
    if cls.load() != params:
        raise UserError(
            f"{paths.PARAMS}: changed while {name} was running: its result is discarded; run the same command again"
        )
