"""The page of results: the machine, the versions, and the table."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from benchmarks.row import Options, Row, output

PATH = Path(__file__).parent / "RESULTS.md"
HEADINGS = "what is timed", "rounds", "here", "beside", "there", "ratio", "the same work"
OURS = "jax", "jaxlib", "flax", "optax", "numpy", "onnxruntime", "dvc", "uvicorn", "uvloop"
PEERS = "keras", "tensorflow-cpu", "torch", "numpy", "onnxruntime"
SERVERS = "litserve", "mlserver", "uvicorn", "onnxruntime", "pillow"
VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"Python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
PAGE = """# Speed beside others

`make bench` wrote this page; [benchmarks](../docs/benchmarks.md) says how it measures. Figures are medians, with the
least and the most of the rounds in brackets. A ratio is taken in each round; above 1, this project is faster.

- {date}
- {machine}
- here: {ours}
- beside: {peers}
- servers: {servers}

{table}
"""


def page(rows: Iterable[Row], options: Options) -> str:
    return PAGE.format(
        date=datetime.date.today().strftime("%-d %B %Y"),
        machine=machine(),
        ours=versions(Path(sys.executable), OURS),
        peers=versions(options.peers, PEERS),
        servers=versions(options.servers, SERVERS),
        table=table(rows),
    )


def table(rows: Iterable[Row]) -> str:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def machine() -> str:
    """The processor's name, its cores and the memory."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    name, cores = names[0] if names else platform.processor(), os.cpu_count()
    return f"{name}, {cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, {platform.system()}"


def versions(python: Path | None, names: Iterable[str]) -> str:
    if python is None:
        return "not installed"
    found: dict[str, str] = json.loads(output(python, "-c", VERSIONS, *names))
    return ", ".join(f"{name} {version}" for name, version in found.items())
