"""Checks the whole of params.yaml, and repairs a dvc.lock that a kill cut short: python -m pipeline check"""

from pipeline.commands import lockfile
from pipeline.config import paths
from pipeline.stages import check


def main() -> None:
    lockfile.mend()
    check.params()
    print(f"{paths.PARAMS}: all keys are known, all values possible")
