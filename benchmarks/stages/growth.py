"""Seconds and peak memory of each stage with 1, 4 and 16 times the data: slices of Fashion-MNIST, up to all of it.

    python -m benchmarks.stages.growth [--plot growth.png]

Linear time is 4 times as long for 4 times the data, and less where it is mostly what a stage takes to start. A stage
that holds its data in memory grows by the size of that; `train` holds the images, 47 MB of them.
"""

import argparse
import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.row import output
from benchmarks.stages import clone
from benchmarks.stages.apart import STAGES
from pipeline.readers.formats.idx import read_array

SOURCE = "data/raw/fashion-mnist"
PARTS = (16, 4, 1)  # of the data, a sixteenth first
MEASURE = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3]))
"""


class Measured(NamedTuple):
    seconds: float
    megabytes: float  # at most


def write_slice(folder: Path, part: int) -> int:
    """The first images of both splits in place of all; returns how many there are."""
    total = 0
    for file in sorted(folder.glob("*-ubyte.gz")):
        array = read_array(clone.TOP / SOURCE / file.name, axes=3 if "idx3" in file.name else 1)
        array = array[: len(array) // part]
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        file.write_bytes(gzip.compress(head + array.tobytes(), 1, mtime=0))
        total += len(array) if array.ndim == 3 else 0
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    return total


def measured(stage: str, folder: Path) -> Measured:
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "pipeline", stage]
    return Measured(*json.loads(output(*command, cwd=folder, env=clone.environment(folder)).splitlines()[-1]))


def plot(path: Path, counts: list[int], found: dict[str, list[Measured]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), Measured._fields):
        for stage, several in found.items():
            axes.plot(counts, [getattr(one, name) for one in several], marker="o", label=stage)
        axes.set(xlabel="images", ylabel=name, ylim=(0, None))
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="a picture of the figures")
    arguments = parser.parse_args()
    counts: list[int] = []
    found: dict[str, list[Measured]] = {stage: [] for stage in STAGES}
    for part in PARTS:
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top) / "clone"
            clone.make(folder, quick=False)
            counts.append(write_slice(folder / SOURCE, part))
            for stage, several in found.items():
                several.append(one := measured(stage, folder))
                print(f"{counts[-1]:7,} images, {stage:10}: {one.seconds:6.1f} s, {one.megabytes:6,.0f} MB", flush=True)
    for stage, several in found.items():
        (few, some, most) = several
        longer, more = most.seconds / some.seconds, most.megabytes - few.megabytes
        print(
            f"{stage:10}: the last 4 times the data took {longer:.2f} times as long; all 16 times, {more:,.0f} MB more"
        )
    if arguments.plot:
        plot(arguments.plot, counts, found)


if __name__ == "__main__":
    main()
