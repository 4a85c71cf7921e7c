"""Trains the language model of 124 million parameters on Shakespeare, once without a stop and once killed and resumed.

    python -m benchmarks.training.interruption [--steps 24] [--batch 4] [--context 512]

Both are the train stage itself, in new processes. The one that is killed (SIGKILL) has written a checkpoint by then and
taken steps since. Reports whether both produce the same bytes, how long the steps took, and a process's peak memory.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from pipeline.config.paths import RAW
from pipeline.readers.example import Example
from pipeline.readers.formats.text import Reader
from pipeline.runtime.hashes import sha256

TOP = Path(__file__).parents[2]
HELD_OUT = 20_000  # characters of a work, to validate on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--context", type=int, default=512)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, arguments)
        for stage in ("prepare", "preprocess"):
            subprocess.run([sys.executable, "-m", "pipeline", stage], cwd=folder, check=True)
        straight = train(folder, kill=False)
        shutil.rmtree(folder / "trained")
        shutil.rmtree(folder / ".checkpoints")
        killed = train(folder, kill=True)
        print("killed:", killed.strip(), flush=True)
        same = train(folder, kill=False) == straight
        print("the same bytes" if same else "OTHER bytes")
    sys.exit(not same)


def project(folder: Path, arguments: argparse.Namespace) -> None:
    """A folder with the code, its parameters, and a table of the works, all but one of them for training."""
    for part in ("dvc.yaml", "versions.yaml", "pipeline"):
        (folder / part).symlink_to(TOP / part)
    works = [
        str(example.content)
        for example in Reader(source=str(TOP / RAW / "shakespeare"), format="text", files="*.txt").read()
        if isinstance(example, Example)
    ]
    last = works.pop()
    rows = [(work, "train") for work in works]
    rows += [(last[:HELD_OUT], "validation"), (last[HELD_OUT : 2 * HELD_OUT], "test")]
    source = folder / "data/raw/works.parquet"
    source.parent.mkdir(parents=True)
    pd.DataFrame(rows, columns=["text", "split"]).assign(label="work").to_parquet(source)
    content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    section = content["datasets"]["shakespeare"] | {
        "data": {
            "source": "data/raw/works.parquet",
            "format": "table",
            "text": "text",
            "label": "label",
            "split": "split",
        },
        "preprocessing": {"tokenizer": "bpe", "vocabulary": 50_304, "normalisation": "none"},
    }
    content |= {"dataset": "works", "model": "gpt", "datasets": {"works": section}}
    model = content["models"]["gpt"]
    model["network"] |= {"variant": "124m", "context": arguments.context}
    model["training"] |= {
        "epochs": 1,
        "epoch_steps": arguments.steps,
        "batch_size": arguments.batch,
        "learning_rate": 3.0e-4,
        "optimizer": {"name": "adamw", "b2": 0.95},
    }
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(content, file)


def train(folder: Path, *, kill: bool) -> str:
    """Runs the train stage. Returns the sha256 of the weights or, if it was killed, its checkpoint and the signal."""
    log = folder / "logs/train.jsonl"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "CHECKPOINT_SECONDS": "20", "DVC_ROOT": str(folder)}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "train"], cwd=folder, env=environment)
    while kill and not list(folder.glob(".checkpoints/*/[0-9]*[0-9]")):
        time.sleep(0.5)
    if kill:
        time.sleep(15)
        process.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    if kill:
        return f"checkpoint {next(folder.glob('.checkpoints/*/[0-9]*[0-9]')).name}, signal {os.WTERMSIG(status)}"
    if status:
        raise SystemExit(f"train ended with {os.waitstatus_to_exitcode(status)}")
    figures = json.loads((folder / "trained/metrics.json").read_text())
    print(
        f"{figures['parameters']:,} parameters, {figures['steps']} steps, {time.perf_counter() - began:.0f} s, peak "
        f"{usage.ru_maxrss / 2**20:.2f} GiB, loss {figures['train']['loss']:.3f} in training, "
        f"{figures['validation']['loss']:.3f} in validation"
    )
    return sha256(folder / "trained/weights.safetensors")


if __name__ == "__main__":
    main()
