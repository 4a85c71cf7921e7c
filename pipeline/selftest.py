"""Loads a package as a stranger would and compares what it says with what evaluate wrote down.

python -m pipeline.selftest package data/features/test evaluation/predictions.parquet
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import errors
from pipeline.errors import UserError
from pipeline.packaged import Package

TOLERANCE = 1e-5  # of a probability
TRAINING = ("flax", "optax", "pipeline.learner", "pipeline.models", "pipeline.training")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.selftest", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument("features", type=Path, help="folder with the test split's inputs.npy")
    parser.add_argument("predictions", type=Path, help="evaluate's predictions.parquet")
    arguments = parser.parse_args()
    package = Package(arguments.package)
    found = package.probabilities(np.load(arguments.features / "inputs.npy", mmap_mode="r"))
    table = pd.read_parquet(arguments.predictions)
    expected = table[[f"probability of {label}" for label in package.labels]].to_numpy()
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE:  # a NaN is not small either
        raise UserError(f"{arguments.package}: its predictions are up to {worst:.2g} off evaluate's: do not use it")
    if loaded := [name for name in TRAINING if name in sys.modules]:
        raise UserError(f"the package runtime loaded training code: {', '.join(loaded)}")
    print(f"{arguments.package}: {len(found):,} predictions equal evaluate's to {worst:.1g}, without training code")


if __name__ == "__main__":
    errors.run(main)
