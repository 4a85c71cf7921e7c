"""Trains the language model of 124 million parameters on Shakespeare here and in PyTorch, by turns on the same device.

    python -m benchmarks.training.language_model [--batch 4] [--context 512] [--steps 20] [--peers PYTHON]
    python -m benchmarks.training.language_model --batch 32 --context 1024 --steps 30 --precision bfloat16 --card h200

Both train the same network, with as many parameters and operations, with AdamW on the same windows of the same text.
Reported are tokens a second, in the median of blocks of steps after the first steps, the losses and the peak memory:
the process's on a CPU, the device's on a GPU. On a GPU, PyTorch has what nanoGPT gives it: the model and its loss
compiled, a fused optimiser, mixed precision; its sums are not deterministic, the ones here are. With --card, the
model's operations are reported as a share of the card's peak. Each round runs both in new processes, and has a ratio of
its own.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import alone
from benchmarks.row import Options, Row, Turn, answer, in_turns
from pipeline.commands import plan
from pipeline.config.networks import GPTConfig
from pipeline.config.optimizers import AdamW
from pipeline.training import memory_plan

VOCABULARY = 50_304
PARAMETERS = 123_568_128
WARM_UP = 3  # steps that are not timed
BLOCK = 5  # steps that are timed together: nothing waits for the device in between

TORCH = Path(__file__).parent / "peers/torch_gpt.py"
WITHIN = {"parameters": 0.0, "first loss": 0.02, "last loss": 0.05}  # of other first weights
HALF = ("avx512_bf16", "amx_bf16")  # what a processor needs for bfloat16


def ours(batch: int, context: int, steps: int, data: Path, config: GPTConfig) -> dict[str, float]:
    """The same with this project's training step, a block of steps per dispatch, as the train stage has them."""
    import resource

    import jax
    import numpy as np

    from pipeline.config.preprocessing import CorpusPreprocessing
    from pipeline.examples.batch import Examples
    from pipeline.examples.inputs import Corpus
    from pipeline.tasks.language_modelling import LanguageModelling
    from pipeline.training import allocator, optimizers
    from pipeline.training.trainer import start

    allocator.keep_freed_memory()  # as the train stage does
    tokens = np.load(data)
    settings = CorpusPreprocessing(tokenizer="bpe", vocabulary=VOCABULARY, normalisation="none")
    task = LanguageModelling(inputs=Corpus(settings=settings, vocabulary=VOCABULARY), counts=(1,) * VOCABULARY)
    optimizer = partial(
        optimizers.build, AdamW(name="adamw", b2=0.95), lambda _: 3e-4, weight_decay=0.1, gradient_clip=None
    )
    trainer, state = start(config, task, optimizer, seed=0)
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    text = jax.device_put(Examples({"tokens": tokens.reshape(-1)}, np.zeros(0, np.int32), None))
    places = np.arange((steps + WARM_UP) * batch, dtype=np.int32).reshape(-1, batch) * (context + 1)
    losses: list[float] = []
    times: list[float] = []
    while len(losses) < len(places):
        count = BLOCK if losses else WARM_UP
        rows = np.zeros((BLOCK, batch), np.int32)  # always of one shape, so that it compiles once
        rows[:count] = places[len(losses) : len(losses) + count]
        began = time.perf_counter()
        state, sums = trainer.train_block(state, text, rows, np.int32(count), context)  # type: ignore[arg-type]
        totals = np.asarray(sums)[:count]
        times.append(time.perf_counter() - began)
        losses += (totals[:, 0] / totals[:, 1]).tolist()
    rate = BLOCK * batch * context / statistics.median(times[1:])
    stats = jax.devices()[0].memory_stats()
    peak = stats["peak_bytes_in_use"] / 2**30 if stats else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    first, last = statistics.mean(losses[:3]), statistics.mean(losses[-3:])
    return {"figure": rate, "parameters": parameters, "memory": peak, "first loss": first, "last loss": last}


def windows(batch: int, context: int, steps: int, path: Path) -> None:
    """Writes windows of the text, chosen at random, as tokens of a BPE fitted to the whole text."""
    import numpy as np

    from pipeline.config.paths import RAW
    from pipeline.encoding import fit_tokenizer
    from pipeline.readers.example import Example
    from pipeline.readers.formats.text import Reader
    from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer, text_parts
    from pipeline.runtime.encoders.specs import CorpusSpec

    spec = CorpusSpec(tokenizer="bpe", vocabulary=VOCABULARY, normalisation="none")
    examples = list(Reader(source=str(RAW / "shakespeare"), format="text", files="*.txt").read())
    text = "".join(str(example.content) for example in examples if isinstance(example, Example))
    row = ByteTokenizer(fit_tokenizer.fit(text_parts(text), spec), spec).encode(text)
    count = len(row) // (context + 1)
    chosen = np.random.default_rng(0).permutation(count)[: batch * (steps + WARM_UP)]
    np.save(path, row[: count * (context + 1)].reshape(count, context + 1)[chosen])


def here(data: Path, size: tuple[int, int, int], config: GPTConfig) -> Turn:
    """In a process of its own."""
    words = f"--ours={data}", *(f"--{name}={value}" for name, value in zip(("batch", "context", "steps"), size))
    settings = f"--precision={config.precision}", f"--remat={config.remat}"
    return answer(sys.executable, "-m", "benchmarks.training.language_model", *words, *settings, own=True)


def torch(python: Path, data: Path, size: tuple[int, int, int], precision: str, *, mode: str) -> Turn:
    return answer(python, TORCH, data, *map(str, (*size, WARM_UP, BLOCK)), precision, mode)


def rows(options: Options) -> Iterator[Row]:
    """On the processor; a quick run takes few steps of it in float32."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    for precision in ("float32", "bfloat16"):
        if precision == "float32" or (not options.quick and any(flag in flags for flag in HALF)):
            size = (1, 64, BLOCK) if options.quick else (2, 256, 4 * BLOCK)
            config = GPTConfig.model_validate({"variant": "124m", "dropout": 0.0, "context": size[1]})
            modes = ("eager",) if options.quick else ("eager", "compiled")
            yield compared(size, config.model_copy(update={"precision": precision}), options, modes)


def compared(size: tuple[int, int, int], config: GPTConfig, options: Options, modes: Sequence[str]) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "windows.npy"
        windows(*size, data)
        python, precision = options.peers, config.precision
        return in_turns(
            f"training of 124 million parameters, {size[0]} x {size[1]} tokens, {precision}",
            "tokens/s",
            {"": partial(here, data, size, config)},
            {f"PyTorch, {mode}": partial(torch, python, data, size, precision, mode=mode) for mode in modes}
            if python
            else {},
            rounds=options.rounds,
            within=WITHIN,
        )


def main() -> None:
    parser = alone.parser(__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20, help=f"in blocks of {BLOCK}")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--remat", choices=("none", "dots", "full"), default="none", help="here, not in PyTorch")
    parser.add_argument("--card", choices=plan.CARDS, help="report the share of its peak")
    parser.add_argument("--ours", type=Path, metavar="NPY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < BLOCK or arguments.steps % BLOCK:
        parser.error(f"--steps: must be a multiple of {BLOCK}")
    size = arguments.batch, arguments.context, arguments.steps
    chosen = {"context": arguments.context, "precision": arguments.precision, "remat": arguments.remat}
    config = GPTConfig.model_validate({"variant": "124m", "dropout": 0.0} | chosen)
    if arguments.ours:
        print(json.dumps(ours(*size, arguments.ours, config)))
        return
    row = compared(size, config, alone.options(arguments), ("compiled",) if arguments.card else ("eager", "compiled"))
    print(row)
    if arguments.card:
        most = 1e12 * getattr(plan.CARDS[arguments.card], arguments.precision)
        token = 6 * PARAMETERS + memory_plan.attention_flops(config, arguments.context)
        for name, rates in (("here", row.ours), ("in PyTorch", row.theirs)):
            for rate in rates:
                flops = rate * token
                print(f"{name}: {flops / 1e12:,.0f} x 10^12 operations a second, {flops / most:.1%} of the card's")


if __name__ == "__main__":
    main()
