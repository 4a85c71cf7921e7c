"""What a result was made from: inputs, code, parameters, library versions, device. Neither time nor commit is in it, so
that equal runs have equal provenance.
"""

import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import jax

from pipeline.config import paths
from pipeline.config.params import StageParams
from pipeline.runtime import environment, strict_json
from pipeline.runtime.hashes import sha256
from pipeline.stages import library_versions
from pipeline.stages.stage_files import Inputs

VECTOR = re.compile("avx|fma|amx|sse4|f16c|asimd|sve|neon|feat_sme")


def record(inputs: Inputs, params: StageParams) -> dict[str, Any]:
    """The provenance of the running stage's outputs."""
    return {
        "params": params.model_dump(),
        "inputs": inputs.data,
        "code": inputs.code,
        "versions": library_versions.installed(),
        "device": device(),
    }


def device() -> dict[str, str]:
    """What this process computes on."""
    return {"platform": jax.default_backend(), "kind": jax.devices()[0].device_kind}


def machine() -> dict[str, Any]:
    """Everything other than code and data that can affect the last bits of a result."""
    devices, settings = jax.devices(), environment.recorded()
    return {
        "platform": jax.default_backend(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "architecture": platform.machine(),
        "vector_instructions": " ".join(vector_instructions()),
        "threads": os.environ["NPROC"],
        "xla_flags": os.environ["XLA_FLAGS"],
        **({"settings": settings} if settings else {}),
        "python": platform.python_version(),
        **library_versions.installed(),
    }


def record_machines() -> None:
    """Writes which machines trained and evaluated the model. What the file, or the last commit, records for these very
    weights stays: the same model made on another machine, or restored after an experiment, changes nothing.
    """
    weights = sha256(paths.TRAINED / "weights.safetensors")
    for text in (_content(paths.MACHINES), _committed(paths.MACHINES)):
        recorded = _mapping(text)
        if recorded.get("weights") == weights and recorded.keys() >= {"train", "evaluate"}:
            paths.MACHINES.write_bytes(text)
            return
    trained_on = _mapping(_content(paths.TRAINED_ON))
    train = trained_on.get("machine", {}) if trained_on.get("weights") == weights else {}
    strict_json.write(paths.MACHINES, {"weights": weights, "train": train, "evaluate": machine()})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _committed(path: Path) -> bytes:
    """The file in the last commit; nothing where there is none."""
    try:
        return subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True).stdout
    except OSError:  # git is not installed
        return b""


def _mapping(text: bytes) -> dict[str, Any]:
    """The mapping that a JSON text holds; nothing where it is damaged or holds something else: no result depends on
    it.
    """
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


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
