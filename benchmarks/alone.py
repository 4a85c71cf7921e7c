"""The command line of a benchmark that runs by itself, and of all of them."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.row import Options, Row


def parser(about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="turns of each side, more where they are short (default: 3)")
    parser.add_argument("--quick", action="store_true", help="each once, and small")
    peers, servers, package = Path(".venv-benchmarks"), Path(".venv-servers"), Path("package")
    parser.add_argument("--peers", type=Path, default=peers, help="an environment with Keras and PyTorch")
    parser.add_argument("--servers", type=Path, default=servers, help="an environment with LitServe and MLServer")
    parser.add_argument("--package", type=Path, default=package, help="a package of images")
    return parser


def options(arguments: argparse.Namespace) -> Options:
    """An environment that is not there is None."""
    pythons = (folder.absolute() / "bin/python" for folder in (arguments.peers, arguments.servers))
    peers, servers = (python if python.exists() else None for python in pythons)
    return Options(
        arguments.rounds or (1 if arguments.quick else 3), arguments.quick, peers, servers, arguments.package
    )


def run(rows: Callable[[Options], Iterator[Row]], about: str | None) -> None:
    """Prints the rows of one benchmark."""
    done = []
    for row in rows(options(parser(about).parse_args())):
        print(row, flush=True)
        done.append(row)
    leave(done)


def leave(rows: Iterable[Row]) -> None:
    """Ends the process, with code 1 and a line for each row that failed, if any did."""
    problems = [f"error: {row.problem}" for row in rows if row.problem]
    sys.exit("\n".join(problems) or None)
