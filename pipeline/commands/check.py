"""Checks the whole of params.yaml, and repairs a dvc.lock that a kill has cut short: python -m pipeline check"""

import argparse

from pipeline.commands import lockfile
from pipeline.config import paths
from pipeline.stages import check


def main() -> None:
    argparse.ArgumentParser(prog="python -m pipeline check", description=__doc__).parse_args()
    lockfile.repair()
    check.params()
    print(f"{paths.PARAMS}: all keys are known, all values possible")
