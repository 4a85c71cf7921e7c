"""What computes a model's outputs: ONNX Runtime, from `model.onnx`, or JAX, from `model.jaxexp`. Only the one that is
used is loaded.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Shaped

from ..errors import UserError

NAMES = ("auto", "onnx", "jax")
MODEL = "model.onnx"
INSTALL = "pip install -r requirements.txt, in the package's folder"


class Engine(Protocol):
    name: str  # onnx or jax
    outputs: int  # how many numbers there are for an example, or for each of its tokens
    compiles: bool  # whether each new shape of the inputs takes time: few shapes, then, and full batches

    def run(self, inputs: Sequence[Shaped[np.ndarray, "b ..."]]) -> Float[np.ndarray, "b *t k"]:
        """The outputs for arrays in the order of `inputs` in config.json. Raises UserError."""
        ...


def load(folder: Path, name: str = "auto", *, shared: bool = False) -> Engine:
    """The engine of this name for a package. `auto` takes onnx where the package has its file and the library is
    installed, and else jax. `shared`: other threads of the process need the cores too. Raises UserError where the
    engine, or the package's file for it, is missing or damaged.
    """
    if name not in NAMES:
        raise UserError(f"engine: must be one of {', '.join(NAMES)}, not {name!r}")
    if name == "auto":
        name = "onnx" if (folder / MODEL).is_file() and find_spec("onnxruntime") else "jax"
    if name == "onnx" and not (folder / MODEL).is_file():
        raise UserError(f"{folder}: has no {MODEL}, which the engine onnx runs: use the engine jax")
    try:
        engine: Any = import_module(f".{name}", __name__)
        return engine.load(folder, shared=shared)
    except ModuleNotFoundError as error:
        if (missing := str(error.name).partition(".")[0]) == __name__.partition(".")[0]:
            raise
        raise UserError(f"{folder}: the engine {name} needs {missing}, which is not installed: {INSTALL}") from error
