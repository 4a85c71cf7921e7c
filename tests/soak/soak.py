"""The long versions of what `make test` tries in short: chaos, then fuzz, and one table at the end.

make soak, or:

    PYTHONPATH=.:tests/harness:tests/samples:tests/soak \
    python tests/soak/soak.py --kills 200 --damages 50 --cases 5000

Works in folders of its own, on slices of the data. The exit code is 1 if anything was lost, differed, or ended in
something else than an answer or one clear line.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import chaos
import compiled
import fuzz
import pandas as pd
from repro import Pipeline
from small_packages import packages
from tally import Log

from pipeline.runtime import environment


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=200, help="of stages, of DVC, of both")
    parser.add_argument("--damages", type=int, default=50, help="of checkpoints")
    parser.add_argument("--cases", type=int, default=5_000, help="of fuzz")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which nothing new begins")
    asked = parser.parse_args()
    environment.set_up()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"{folder}: all that is made, and chaos.jsonl, a line for each fault", flush=True)
    compiled.begin()

    log = Log(folder / "chaos.jsonl")
    pipeline = Pipeline(folder / "clone")
    pipeline.measure()
    half = began + asked.seconds / 2
    chaos.run(pipeline, log, seed=asked.seed, kills=asked.kills, damages=asked.damages, until=half)
    outcomes, wrong = fuzz.run(
        folder / "fuzz",
        packages(folder / "packages"),
        seed=asked.seed,
        numbers=range(asked.cases),
        until=began + asked.seconds,
    )
    compiled.end(in_order=True)

    rows = [*log.rows(), *fuzz.rows(outcomes, wrong)]
    print(pd.DataFrame(rows).astype({"tried": "Int64"}).convert_dtypes().to_string(index=False, na_rep=""))
    wrong = [*log.wrong(), *wrong]
    print(*wrong, f"{time.monotonic() - began:,.0f} seconds; {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
