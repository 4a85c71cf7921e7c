"""What a result was made from: inputs, code, parameters, library versions, device. Neither time nor commit is in it, so
that equal runs have equal provenance.
"""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from pipeline.config.params import StageParams
from pipeline.stages.stage_files import Inputs

VECTOR = re.compile("avx|fma|amx|sse4|f16c|asimd|sve|neon|feat_sme")
LIBRARIES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "pandas",
    "pyarrow",
    "pillow",
    "safetensors",
    "tiktoken",
    "tokenizers",
)


def record(inputs: Inputs, params: StageParams) -> dict[str, Any]:
    """The provenance of the running stage's outputs."""
    return {
        "params": params.model_dump(),
        "inputs": inputs.data,
        "code": inputs.code,
        "versions": versions(),
        "device": {"platform": jax.default_backend(), "kind": jax.devices()[0].device_kind},
    }


def versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def machine() -> dict[str, Any]:
    """Everything other than code and data that can affect the last bits of a result."""
    devices = jax.devices()
    return {
        "platform": jax.default_backend(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "architecture": platform.machine(),
        "vector_instructions": " ".join(vector_instructions()),
        "threads": os.environ["NPROC"],
        "xla_flags": os.environ["XLA_FLAGS"],
        "python": platform.python_version(),
        **versions(),
    }


def vector_instructions() -> list[str]:
    """The processor's, as Linux or macOS names them: the compiler uses the widest."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))]
        names = lines[0].partition(":")[2].split() if lines else []
    else:
        listing = subprocess.run(["sysctl", "hw.optional"], capture_output=True, text=True, check=False).stdout
        names = [line.partition(":")[0].rpartition(".")[2] for line in listing.splitlines() if line.endswith(" 1")]
    return sorted({name for name in names if VECTOR.match(name.lower())})
