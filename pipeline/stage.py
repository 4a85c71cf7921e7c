"""What is around the work of every stage: its part of params.yaml, what it reads, an orderly end.

Like `check`, it only refuses: no result depends on it.
"""

from collections.abc import Callable
from typing import TypeVar

from pipeline import check, errors, inputs, orphan, paths
from pipeline.errors import UserError
from pipeline.inputs import Inputs
from pipeline.params import StageParams

P = TypeVar("P", bound=StageParams)


def run(name: str, main: Callable[[P, Inputs], None], cls: type[P]) -> None:
    """Runs the stage `name` and exits; dies with the DVC that started it."""
    orphan.watch()
    errors.run(lambda: once(name, main, cls))


def once(name: str, main: Callable[[P, Inputs], None], cls: type[P]) -> None:
    """Hashes the stage's inputs, runs it, and raises UserError unless they are the same when it has ended."""
    check.params()
    params = cls.load()
    read = inputs.take(name, source=getattr(params, "source", None), model=getattr(params, "model", None))
    main(params, read)
    read.check()
    if cls.load() != params:
        raise UserError(
            f"{paths.PARAMS}: changed while {name} ran, whose result is of neither state: "
            "the same command runs it again"
        )
