"""Damages everything that people hand to the project, at random: only clear errors may come of it.

Parameter files, the sources of each reader, packages and what is asked of them, checkpoints. Each case is answered, or
refused in one line; anything else (another exception, a hang, a write outside the outputs) is noted with its number.
This tries one case again:

    PYTHONPATH=.:tests/harness:tests/samples:tests/soak python tests/soak/fuzz.py --seed 0 --only NUMBER
"""

import argparse
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import chdir, redirect_stdout
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from fuzz_cases import KINDS, PACKAGES
from fuzz_packages import one_line
from imports import TOP
from small_packages import packages
from tqdm import tqdm

from pipeline.runtime import errors
from pipeline.runtime.errors import UserError

LIMIT = 60  # seconds for a case: a compilation may be among it


class Hang(BaseException):
    """No `except Exception` may hide it."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def case(seed: int, number: int, folder: Path) -> tuple[str, str, str]:
    """Its kind, its outcome, and what was wrong, if anything was."""
    random = Random(f"{seed} {number}")
    kind = random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
    shutil.rmtree(folder, ignore_errors=True)
    inner = folder / "here"
    inner.mkdir(parents=True)
    signal.alarm(LIMIT)
    outcome, wrong = "answered", ""
    try:
        with redirect_stdout(io.StringIO()), chdir(folder):
            kind(inner, random)
    except UserError as error:
        outcome = "refused"
        try:
            one_line(error)
        except AssertionError as bad:
            wrong = str(bad)
    except (Exception, Hang) as error:
        if isinstance(error, OSError | MemoryError) and errors.refusal(error):
            outcome = "refused"
        else:
            outcome, wrong = "found", "".join(traceback.format_exception(error)[-4:])
    finally:
        signal.alarm(0)
    if [path.name for path in folder.iterdir()] != ["here"]:
        wrong = f"written outside: {list(folder.iterdir())}"
    return kind.__name__, outcome, wrong


def work(seed: int, numbers: range, until: float, folder: Path) -> None:
    """A line before each case, and one after it."""
    signal.signal(signal.SIGALRM, _hang)
    warnings.simplefilter("error")
    for number in numbers:
        if time.monotonic() >= until:
            return
        print(json.dumps([number]), flush=True)
        print(json.dumps([number, *case(seed, number, folder)]), flush=True)


def run(
    folder: Path, made: list[Path], *, seed: int, numbers: range, until: float = math.inf
) -> tuple[dict[str, Counter[str]], list[str]]:
    """These cases, with these packages, in a process of their own, since one of them may bring it down; the outcomes,
    and what was wrong. No case begins when the clock of `time.monotonic` is past `until`.
    """
    outcomes: dict[str, Counter[str]] = {}
    found: list[str] = []
    start, stop = numbers.start, numbers.stop
    with tqdm(total=stop - start, desc="fuzz", unit=" cases", disable=None) as bar:
        while start < stop:
            command = [sys.executable, __file__, "--seed", seed, "--work", start, stop, until, "--at", folder]
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, (TOP, TOP / "tests/harness", TOP / "tests/samples"))),
            }
            with subprocess.Popen(
                [*map(str, command), *map(str, made)], stdout=subprocess.PIPE, text=True, env=environment
            ) as worker:
                assert worker.stdout
                number = start - 1
                for line in worker.stdout:
                    number, *result = json.loads(line)
                    if not result:
                        continue
                    kind, outcome, wrong = result
                    outcomes.setdefault(kind, Counter())[outcome] += 1
                    if wrong:
                        found.append(f"case {number}: {kind}: {wrong}")
                    bar.update()
            if worker.returncode and number < start:
                raise SystemExit(f"no case could begin: the process ended with {worker.returncode}")
            if not worker.returncode:
                break
            found.append(f"case {number}: the process ended with {worker.returncode}")
            start = number + 1
    return outcomes, found


def rows(outcomes: dict[str, Counter[str]], wrong: list[str]) -> list[dict[str, Any]]:
    """Of the final table."""
    return [
        {
            "what": kind.replace("_", " "),
            "tried": counts.total(),
            "answered": counts["answered"],
            "refused": counts["refused"],
            "wrong": sum(f": {kind}: " in line for line in wrong),
        }
        for kind, counts in sorted(outcomes.items())
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, default=0, help="the number of the one case to try")
    parser.add_argument("--work", type=float, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("packages", type=Path, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        PACKAGES.extend(arguments.packages)
        start, stop, until = arguments.work
        work(arguments.seed, range(int(start), int(stop)), until, arguments.at / "case")
        return 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        only = range(arguments.only, arguments.only + 1)
        outcomes, wrong = run(Path(folder), packages(Path(folder)), seed=arguments.seed, numbers=only)
    print(outcomes, *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
