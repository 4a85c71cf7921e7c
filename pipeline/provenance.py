"""What a result was made from: inputs, code, parameters, library versions, device. No clock and no commit, so that two
equal runs say the same; the hashes lead back to both.
"""

import hashlib
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from pipeline.params import StageParams

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "pandas", "pyarrow", "pillow", "safetensors", "tokenizers")
TOP = Path(__file__).parent.parent


def record(stage: str, inputs: list[Path], params: StageParams, *, model: str) -> dict[str, Any]:
    """The provenance of a running stage's outputs."""
    return {
        "params": params.model_dump(),
        "inputs": {str(path.as_posix()): sha256(path) for path in inputs},
        "code": {str(path.relative_to(TOP).as_posix()): sha256(path) for path in sources(stage, model)},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "device": {"platform": jax.default_backend(), "kind": jax.devices()[0].device_kind},
    }


def sources(stage: str, model: str) -> list[Path]:
    """The project's files that a stage's result can depend on: what is imported now, less models that are not in use.

    Of `check`, which only refuses a bad params.yaml, nothing enters a result.
    """
    files = {Path(module.__file__) for name, module in sys.modules.items() if _ours(name) and module.__file__}
    models = {*TOP.glob("pipeline/models/*.py")}
    unused = {file for file in models if file.stem not in (model, "__init__")}
    return sorted((files | {TOP / f"pipeline/{stage}.py"}) - unused - {TOP / "pipeline/check.py"})


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ours(name: str) -> bool:
    return name == "pipeline" or name.startswith("pipeline.")
