"""Runs a package by its own code in a process that has its libraries alone, and compares it with evaluate.

python -m pipeline selftest package data/prepared/test.parquet evaluation/test.parquet
"""

import argparse
from pathlib import Path

from pipeline.packaging.selftest import comparison
from pipeline.runtime.trust import signatures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline selftest", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument("prepared", type=Path, help="the test split's table, with its raw inputs")
    parser.add_argument("predictions", type=Path, help="evaluate's predictions on that split")
    parser.add_argument(
        "--require-key", type=Path, metavar="PUB.PEM", help="the package must be signed by the owner of this public key"
    )
    arguments = parser.parse_args()
    signatures.require(arguments.package, arguments.require_key)
    summary = comparison.compare(arguments.package, arguments.prepared, arguments.predictions)
    print(f"{arguments.package}: {summary}, without this repository's code")
