"""Prepares and tokenizes a large text with the two stages, and reports their speed and memory.

    python -m benchmarks.training.tokenizing linux-source-6.1.tar.xz [--files '*.[ch]'] [--vocabulary 32000]

SOURCE is a folder or an archive of text files. Those that match the pattern are read, except for files that are not
UTF-8. Speeds are in bytes of text; memory is the peak of the stage's process.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

TOP = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--files", default="*")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--tokenizer", default="bpe")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("dvc.yaml", "versions.yaml", "pipeline"):
            (folder / part).symlink_to(TOP / part)
        content = YAML(typ="safe").load((TOP / "params.yaml").read_text())
        section = content["datasets"]["shakespeare"] | {
            "data": {
                "source": f"data/raw/{arguments.source.name}",
                "format": "text",
                "files": arguments.files,
                "validation": 0.01,
                "test": 0.01,
                "max_bad_rows": 1_000_000,
            },
            "preprocessing": {
                "tokenizer": arguments.tokenizer,
                "vocabulary": arguments.vocabulary,
                "normalisation": "none",
            },
        }
        content |= {"dataset": "large", "model": "gpt", "datasets": {"large": section}}
        with (folder / "params.yaml").open("w") as file:
            YAML(typ="safe").dump(content, file)
        raw = folder / "data/raw"
        raw.mkdir(parents=True)
        (raw / arguments.source.name).symlink_to(arguments.source.resolve())
        costs = {}
        for stage in ("prepare", "preprocess"):
            began = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "pipeline", stage], cwd=folder)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
            costs[stage] = time.perf_counter() - began, usage.ru_maxrss / 2**20
        report = json.loads((folder / "data/features/report.json").read_text())
        size = sum(split["bytes"] for split in report.values()) / 1e6
        tokens = sum(split["tokens"] for split in report.values())
        print(f"{size:,.0f} MB of text, {tokens:,} tokens")
        for stage, (seconds, memory) in costs.items():
            print(f"{stage}: {seconds:,.0f} s, {size / seconds:.1f} MB/s, peak {memory:.2f} GiB")
        shutil.rmtree(folder / "data")


if __name__ == "__main__":
    main()
