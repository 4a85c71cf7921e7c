"""ONNX Runtime, on the CPU: it starts at once and runs inputs of any shape without compiling. Needs onnxruntime."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from jaxtyping import Float, Shaped

from ..errors import UserError
from . import INSTALL, MODEL

ERRORS = 3  # what the library logs: no warnings, such as of machines without a GPU
OTHER_VERSION = re.compile(r"(?i)\bopset\b|\bIR version\b")
NO_MEMORY = re.compile(r"(?i)failed to allocate memory|bad.?alloc")


class Onnx:
    name, compiles = "onnx", False

    def __init__(self, path: Path, session: Any) -> None:
        (output,) = session.get_outputs()
        self._path, self._run = path, session.run
        self._names, self._output = [given.name for given in session.get_inputs()], [output.name]
        self.outputs: int = output.shape[-1]

    def run(self, inputs: Sequence[Shaped[np.ndarray, "b ..."]]) -> Float[np.ndarray, "b *t k"]:
        try:
            return self._run(self._output, dict(zip(self._names, inputs)))[0]
        except Exception as error:  # the library's errors share no class
            if NO_MEMORY.search(str(error)):
                raise MemoryError(str(error)) from error
            raise UserError(f"{self._path}: cannot run these inputs ({_text(error)})") from error


def load(folder: Path, *, shared: bool = False) -> Onnx:
    path = folder / MODEL
    onnxruntime.set_default_logger_severity(ERRORS)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS
    # As many threads as this process may use cores. Left to itself, the library would also bind each to a core of its
    # own choice, which a container may forbid and another process may be using.
    options.intra_op_num_threads = _cores()
    # Its threads keep a core busy while they wait for the next call: good for a loop of calls, bad for a server, whose
    # own thread then answers a third fewer requests on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if shared else "1")
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        return Onnx(path, session)
    except Exception as error:  # a damaged file raises whatever its parser runs into
        cure = INSTALL if OTHER_VERSION.search(str(error)) else "copy the package again"
        raise UserError(
            f"{path}: onnxruntime {onnxruntime.__version__} cannot load it ({_text(error)}): {cure}"
        ) from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
