"""What a package answers to the raw inputs of the test split, against evaluate's predictions.

The package runs in clean processes, one for each of its engines: see `clean_process`. This one reads Parquet for them,
and compares. Axes: n examples, k outputs.
"""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pipeline.packaging import requirements
from pipeline.packaging.selftest import clean_process, replay
from pipeline.runtime import package, strict_json, tasks
from pipeline.runtime.errors import UserError
from pipeline.runtime.trust import manifest

REPLAY = Path(replay.__file__)
MAX_TOKENS = 4_096  # of the test split of a language model
SAMPLE_TOLERANCE = 1e-4  # of a number in sample/expected.json, as a share of it where that is above 1


class Tolerance(NamedTuple):
    """How far one number may be off, and all of them on average."""

    one: float
    mean: float


PROBABILITIES = Tolerance(1e-5, 1e-5)  # or numbers, as a share of their spread
NATS = Tolerance(1e-3, 1e-3)  # of a token's loss: logits are sums of hundreds of products
ROUNDED_PROBABILITIES, ROUNDED_NATS = Tolerance(2e-2, 1e-3), Tolerance(0.5, 1e-2)  # where products are rounded


def compare(folder: Path, prepared: Path, predictions: Path) -> str:
    """Compares the package in `folder` with evaluate's `predictions` for the `prepared` test split; returns a summary.
    Raises UserError where they differ.
    """
    manifest.verify(folder)  # before its code runs
    of = _compare_generator if tasks.generates(package.task_of(folder)) else _compare_predictor
    with tempfile.TemporaryDirectory() as work:
        return of(folder, prepared, predictions, Path(work))


def _compare_predictor(folder: Path, prepared: Path, predictions: Path, work: Path) -> str:
    """Every test example and the samples, by every engine."""
    rounds = _is_rounded(folder, predictions)
    table: Any = pd.read_parquet(predictions)
    signature = strict_json.read(folder / "signature.json")
    answers = tasks.load(package.task_of(folder), folder, signature["outputs"][0]["shape"][-1])
    _write_raw_inputs(prepared, work)
    found, sizes, engines = [], np.zeros(0, np.int64), signature["engines"]
    with ThreadPoolExecutor() as pool:  # the processes of all engines run side by side
        list(pool.map(lambda engine: _replay(folder, work, engine, _libraries(folder, engine)), engines))
    for engine in engines:
        outputs, sizes = (np.load(work / engine / f"{name}.npy") for name in ("outputs", "sizes"))
        is_per_token = len(outputs) != len(sizes) or len(signature["outputs"][0]["shape"]) == 3
        each = np.split(outputs, np.cumsum(sizes)[:-1]) if is_per_token else list(outputs)
        tolerance = ROUNDED_PROBABILITIES if rounds else PROBABILITIES
        worst = _check(f"{folder}: its predictions by {engine}", answers.deviations(each, table), tolerance)
        if not rounds:  # else a label may be another one
            check_samples(folder, _answers(work / engine))
        found.append(f"to {worst:.1g} by {engine}")
    return f"{len(sizes):,} predictions from raw inputs equal evaluate's {' and '.join(found)}"


def _compare_generator(folder: Path, prepared: Path, predictions: Path, work: Path) -> str:
    """The losses of the test split's first tokens, and of the samples."""
    tolerance = ROUNDED_NATS if _is_rounded(folder, predictions) else NATS
    table = pd.read_parquet(predictions, columns=["place", "token", "loss"])
    place, token, loss = (table[name].to_numpy() for name in table)
    context = strict_json.read(folder / "signature.json")["limits"]["context"]
    # The first token of a document stands for its beginning, and is not predicted.
    starts = [0, *(np.flatnonzero(np.diff(place) > 1) + 1).tolist(), len(place)]
    kept: list[np.ndarray] = []
    ends, compared = [0], []  # of each document: where it ends among the kept tokens, and how many are compared
    for start, end in zip(starts, starts[1:]):
        left = MAX_TOKENS - sum(compared)
        if left <= 0:
            break
        compared.append(min(left, end - start))
        # A document that is cut short has other windows near its end: the compared tokens end well before that.
        kept.append(np.arange(start, end if end - start <= left else min(end, start + left + 2 * context)))
        ends.append(ends[-1] + len(kept[-1]))
    np.save(work / "tokens.npy", token[np.concatenate(kept)])
    np.save(work / "starts.npy", np.array(ends))
    _replay(folder, work, "generator", _libraries(folder, "jax"))
    losses = np.load(work / "generator" / "losses.npy")
    errors = [
        np.abs(losses[first : first + count] - loss[rows[:count]]) for first, rows, count in zip(ends, kept, compared)
    ]
    worst = _check(f"{folder}: its losses", np.concatenate(errors), tolerance, " nats")
    check_texts(folder, _answers(work / "generator"), tolerance.mean)
    return f"{sum(compared):,} tokens' losses equal evaluate's to {worst:.1g} nats"


def _libraries(folder: Path, engine: str) -> list[str]:
    """What the package's requirements name, and what an engine that is not its first one needs besides."""
    named = clean_process.named_in(folder / requirements.FILE)
    own = requirements.ENGINES[engine]
    return named if set(own) <= set(named) else sorted({*named, *clean_process.with_needs(own)})


def _replay(folder: Path, work: Path, engine: str, libraries: list[str]) -> None:
    """Raises UserError with what the package's own code says where it fails."""
    done = clean_process.run(REPLAY, work, engine, folder=folder, libraries=libraries)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UserError(f"{folder}: its own code fails ({said[-1] if said else f'exit code {done.returncode}'})")


def _write_raw_inputs(prepared: Path, work: Path) -> None:
    """The images, texts or sentences of a prepared table, one after the other: raw.bin, and ends.npy says where each
    ends. Images are as they are; texts, and the words of sentences, are JSON.
    """
    ends, end = [], 0
    with (work / "raw.bin").open("wb") as file:
        for content in _contents(prepared):
            end += file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
            ends.append(end)
    np.save(work / "ends.npy", np.array(ends, np.int64))


def _contents(prepared: Path) -> Iterator[bytes | str | list[str]]:
    table = pq.ParquetFile(prepared)
    (column,) = {"image", "text", "words"} & set(table.schema_arrow.names)
    for batch in table.iter_batches(batch_size=1_024, columns=[column]):
        yield from batch[column].to_pylist()


def _is_rounded(folder: Path, predictions: Path) -> bool:
    """Whether evaluate's numbers are rounded more than a CPU's are: a GPU multiplies float32 numbers as TF32, with 11
    bits, and a network may compute in bfloat16.
    """
    made = predictions.with_name("provenance.json")
    on_gpu = made.exists() and strict_json.read(made)["device"]["platform"] == "gpu"
    return on_gpu or strict_json.read(folder / "config.json")["network"].get("precision") == "bfloat16"


def _check(what: str, deviations: np.ndarray, tolerance: Tolerance, unit: str = "") -> float:
    """The largest deviation. Raises UserError where it is too large."""
    worst, mean = float(deviations.max()), float(deviations.mean())
    if not (worst <= tolerance.one and mean <= tolerance.mean):  # also refuses a NaN
        raise UserError(f"{what} are up to {worst:.2g}{unit} off evaluate's, {mean:.2g} on average: do not use it")
    return worst


def _answers(work: Path) -> list[dict[str, Any]]:
    return json.loads((work / "answers.json").read_text(encoding="utf-8"))


def check_samples(folder: Path, found: list[dict[str, Any]]) -> None:
    """Raises UserError if a raw input is not answered as evaluate answered it."""
    for sample, answer in zip(replay.samples(folder), found, strict=True):
        if not close(answer, sample["answer"]):
            raise UserError(f"{folder / 'sample'}: {sample} is answered by {answer}: do not use the package")


def check_texts(folder: Path, found: list[dict[str, Any]], tolerance: float) -> None:
    """Raises UserError if the loss of a text is not that of evaluate, in nats for each of its tokens."""
    for sample, answer in zip(replay.samples(folder), found, strict=True):
        tokens, nats = answer["tokens"], answer["nats"]
        if tokens != sample["tokens"] or not abs(nats - sample["nats"]) <= tolerance * tokens:
            raise UserError(f"{folder}: a sample has {nats:.3f} nats, not {sample['nats']}: do not use the package")


def close(one: Any, other: Any) -> bool:
    """Whether two answers are equal, numbers but for rounding."""
    if isinstance(one, float):
        return abs(one - other) <= SAMPLE_TOLERANCE * max(1.0, abs(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == other
