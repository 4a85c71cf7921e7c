"""Answers test inputs by a package's own runtime.

This is a script: `clean_process` runs it, and `comparison` reads what it writes. It imports nothing of this project but
the package's `runtime`.

python replay.py WORK ENGINE, in the package's folder; what it writes is in WORK/ENGINE
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1_024  # examples held in memory together
LARGE = 20_000  # bytes of an input, on average: threads encode such side by side; with smaller ones they compete


def main() -> None:
    work, engine = Path(sys.argv[1]), sys.argv[2]
    import_module("runtime.environment").set_up()
    user_error: Any = import_module("runtime.errors").UserError
    made = work / engine
    made.mkdir()
    try:
        if engine == "generator":
            write_losses(work, made)
        else:
            write_outputs(work, engine, made)
    except (user_error, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def write_outputs(work: Path, engine: str, made: Path) -> None:
    """Of each raw input, and the answers to the samples: outputs.npy, sizes.npy, answers.json."""
    predictor: Any = import_module("runtime.predictor").Predictor(Path(), engine)
    rows, sizes = [], []
    with ThreadPoolExecutor() as pool:
        for names, contents in raw_inputs(work):
            side_by_side = sum(map(len, contents)) > LARGE * len(contents)
            if not predictor.inputs.from_files:
                contents = [json.loads(content) for content in contents]
            encoded = (pool.map if side_by_side else map)(predictor.encode, contents, names)
            outputs = predictor.outputs(list(encoded))
            if predictor.inputs.max_tokens is None:
                outputs = [row[None] for row in outputs]
            sizes += map(len, outputs)
            rows += outputs
    np.save(made / "outputs.npy", np.concatenate(rows))
    np.save(made / "sizes.npy", np.array(sizes, np.int64))
    (made / "answers.json").write_text(json.dumps(answers(predictor, Path())), encoding="utf-8")


def answers(predictor: Any, folder: Path) -> list[dict[str, Any]]:
    """What the predictor of the package in `folder` answers to its samples."""
    found = []
    for sample in samples(folder):
        file = folder / "sample" / sample["file"] if "file" in sample else None
        raw = file.read_bytes() if file else sample.get("text", sample.get("words"))
        found += predictor.answers([predictor.encode(raw, "a sample")])
    return found


def raw_inputs(work: Path) -> Iterator[tuple[list[str], list[bytes]]]:
    """The inputs in raw.bin, which end where ends.npy says, in blocks: their names and contents."""
    ends, done = np.load(work / "ends.npy").tolist(), 0
    with (work / "raw.bin").open("rb") as file:
        while done < len(ends):
            block = ends[done : done + BLOCK]
            sizes = np.diff([file.tell(), *block]).tolist()
            yield [f"test example {done + i}" for i in range(len(block))], [file.read(size) for size in sizes]
            done += len(block)


def write_losses(work: Path, made: Path) -> None:
    """Of the tokens of each document, and of the samples: losses.npy, answers.json."""
    generator: Any = import_module("runtime.generator").Generator(Path())
    starts, tokens = np.load(work / "starts.npy").tolist(), np.load(work / "tokens.npy")
    losses = [generator.token_losses(tokens[start:end]) for start, end in zip(starts, starts[1:])]
    np.save(made / "losses.npy", np.concatenate(losses))
    (made / "answers.json").write_text(json.dumps(losses_of_samples(generator, Path())), encoding="utf-8")


def losses_of_samples(generator: Any, folder: Path) -> list[dict[str, Any]]:
    """How many tokens each sample of the package in `folder` has for its generator, and their loss in nats."""
    encoded = [generator.tokenizer.encode(sample["text"]) for sample in samples(folder)]
    return [{"tokens": len(tokens), "nats": float(generator.token_losses(tokens).sum())} for tokens in encoded]


def samples(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "sample/expected.json").read_text(encoding="utf-8"))["samples"]


if __name__ == "__main__":
    main()
