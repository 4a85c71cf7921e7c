"""Lists or removes the checkpoints of training runs: python -m pipeline checkpoints list|clean"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import paths
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.training.checkpoints import lock
from pipeline.training.checkpoints.naming import FACTS, RESULT, checkpoints, top


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline checkpoints", description="Lists or removes the checkpoints of training runs."
    )
    parser.add_argument("action", choices=("list", "clean"), help="list them, or remove those of runs that have ended")
    parser.add_argument(
        "--recorded", action="store_true", help="clean: only those of the finished run whose model is in trained/"
    )
    arguments = parser.parse_args()
    if arguments.recorded:
        if arguments.action != "clean":
            parser.error("--recorded is for clean")
        remove_recorded()
        return
    table = list(rows(top()))
    if not table:
        print(f"{top()}: no checkpoints")
    elif arguments.action == "list":
        columns = [max(len(name), *(len(row[name]) for row in table)) for name in table[0]]
        for line in (table[0].keys(), *(row.values() for row in table)):
            print("  ".join(cell.rjust(width) for cell, width in zip(line, columns)))
    else:
        for row in table:
            lock.remove(top() / row["run"])
            kept = (top() / row["run"]).exists()
            print(f"{row['run']}: {'kept, ' + row['state'] if kept else 'removed, ' + row['MB'] + ' MB'}")


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each run below `folder`."""
    for run in sorted(path for path in folder.glob("*") if path.is_dir()):
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
        row = {"run": run.name, "state": "no checkpoint", "MB": f"{size / 1e6:.1f}"}
        row |= dict.fromkeys(("model", "seed", "epoch", "step", "written"), "?")
        for newest in checkpoints(run)[-1:]:
            try:
                facts = strict_json.read(newest / FACTS)
                row |= {key: str(facts[key]) for key in ("model", "seed", "epoch", "step")}
                row["written"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(newest.stat().st_mtime))
                row["state"] = "finished" if facts["finished"] else "interrupted"
            except (UserError, KeyError, TypeError):
                row["state"] = "damaged"
        if pid := lock.holder(run):
            row["state"] = f"running: process {pid}"
        yield row


def remove_recorded() -> None:
    """Removes the checkpoints of the finished run that produced the weights in trained/.

    This is evaluate's second command in dvc.yaml, because DVC starts evaluate only once it has recorded train's result.
    Until then the last checkpoint stays: after a kill DVC would run train again, which must not train anew. No other
    run is touched: an interrupted one has no result, and one that DVC has not recorded has another.
    """
    weights = paths.TRAINED / "weights.safetensors"
    if not weights.exists():
        return
    digest = sha256(weights)
    for result in top().glob(f"*/{RESULT}"):
        if _weights(result) == digest:
            lock.remove(result.parent)


def _weights(result: Path) -> str | None:
    """The sha256 in a run's result; None where the file is damaged, for which `clean` is the cure."""
    try:
        return strict_json.read(result)["weights"]
    except (UserError, KeyError, TypeError):
        return None
