"""Lists or removes the checkpoints of training runs: python -m pipeline checkpoints list|clean"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints.store import FACTS, _holder, _written, clear, clear_recorded, top


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """What there is below `folder`, a row a run."""
    for run in sorted(path for path in folder.glob("*") if path.is_dir()):
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
        row = {"run": run.name, "state": "no checkpoint", "MB": f"{size / 1e6:.1f}"}
        row |= dict.fromkeys(("model", "seed", "epoch", "step", "written"), "?")
        for newest in _written(run)[-1:]:
            try:
                facts = strict_json.read(newest / FACTS)
                row |= {key: str(facts[key]) for key in ("model", "seed", "epoch", "step")}
                row["written"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(newest.stat().st_mtime))
                row["state"] = "finished" if facts["finished"] else "interrupted"
            except (UserError, KeyError, TypeError):
                row["state"] = "damaged"
        if holder := _holder(run):
            row["state"] = f"running: process {holder}"
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline checkpoints", description="Shows or removes checkpoints of training."
    )
    parser.add_argument("what", choices=("list", "clean"), help="show them, or remove those of runs not under way")
    parser.add_argument("--recorded", action="store_true", help="clean: only those of the model that is in `trained`")
    asked = parser.parse_args()
    what = asked.what
    if asked.recorded:
        clear_recorded()
        return
    found = list(rows(top()))
    if not found:
        print(f"{top()}: no checkpoints")
    elif what == "list":
        print(pd.DataFrame(found).to_string(index=False))
    else:
        for row in found:
            clear(top() / row["run"])
            kept = (top() / row["run"]).exists()
            print(f"{row['run']}: {'kept, ' + row['state'] if kept else 'removed, ' + row['MB'] + ' MB'}")
