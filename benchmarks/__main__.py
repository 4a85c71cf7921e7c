"""Times this project beside what people would use instead, in turns in one run, and writes benchmarks/RESULTS.md.

    python -m benchmarks [--rounds 3] [--only WORD ...] [--quick]

`make bench` makes the environments of the others first. --only runs the benchmarks whose names hold one of the words,
such as resnet or serving, and prints the table. --quick does so with all of them, each once and small, beside those of
the others that are installed; its figures say nothing but whether each benchmark still runs and each fast path is fast.
The command fails where one of them does not, where a peer did other work, or where a fast path was lost.
"""

import importlib
import time
from collections.abc import Iterator

from benchmarks import alone, results
from benchmarks.row import Options, Row

NAMES = (
    "training.reference_cnn",
    "training.from_files",
    "training.whole_job",
    "training.resnet_steps",
    "training.language_model",
    "kernels.recurrent",
    "kernels.convolution",
    "kernels.roofline",
    "serving.engines",
    "serving.server",
    "stages.unchanged",
    "stages.apart",
)


def rows(name: str, options: Options) -> Iterator[Row]:
    """A benchmark's. Where it ends in an error, its last row says so."""
    began = time.perf_counter()
    print(f"{name}:", flush=True)
    try:
        for row in importlib.import_module(f"benchmarks.{name}").rows(options):
            print(row, flush=True)
            yield row
    except Exception as error:  # the other benchmarks still run
        yield Row(name, "", (), failed=f"{type(error).__name__}: {error}")
    print(f"  {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    parser = alone.parser(__doc__)
    parser.prog = "python -m benchmarks"
    parser.add_argument("--only", nargs="+", metavar="WORD", help="benchmarks whose names hold one of these words")
    arguments = parser.parse_args()
    options = alone.options(arguments)
    names = [name for name in NAMES if not arguments.only or any(word in name for word in arguments.only)]
    if not names:
        parser.error(f"--only: the benchmarks are {', '.join(NAMES)}")
    whole = not (arguments.only or arguments.quick)
    if whole and not options.peers:
        parser.error(f"{arguments.peers} has no Keras and PyTorch to be beside: `make bench` installs them")
    done = [row for name in names for row in rows(name, options)]
    if whole:
        results.PATH.write_text(results.page(done, options), encoding="utf-8")
        print(f"{results.PATH.name}: written")
    else:
        print("\n" + results.table(done))
    alone.leave(done)


if __name__ == "__main__":
    main()
