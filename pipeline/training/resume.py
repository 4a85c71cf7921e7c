"""Where a run starts: at its newest checkpoint, at that of a run on other devices, or at the first step.

its own checkpoint   CHECKPOINT_FROM   starts
yes                  -                 at its own
no                   names a run       at that run's, whose name all its checkpoints record as `moved_from`
no                   not set           at the first step
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from pipeline.parallel import processes
from pipeline.runtime import strict_json
from pipeline.runtime.errors import UserError
from pipeline.training.checkpoints import files
from pipeline.training.checkpoints.files import Checkpoint
from pipeline.training.checkpoints.naming import FACTS, checkpoint_name, checkpoints, top
from pipeline.training.run import TrainingRun, from_checkpoint
from pipeline.training.trainer import State

FROM = "CHECKPOINT_FROM"  # environment variable: the run on other devices that a new run resumes from


class Start(NamedTuple):
    run: TrainingRun
    moved_from: list[str]  # runs on other devices that it resumes, oldest first


def start(folder: Path, record: Mapping[str, Any], state: State) -> Start:
    """The start of the run in `folder`, whose provenance is `record` and whose initial state is `state`. Raises
    UserError.
    """
    other = moved_from(record)
    found = newest_of([folder] if other is None else [folder, other])
    if found is None:
        return Start(TrainingRun(state), [])
    source, checkpoint = found
    run = from_checkpoint(checkpoint, state)
    jax.block_until_ready((run.state, run.best))  # until then the arrays that were read are in use
    if processes.is_main_process():
        print(f"resuming from step {int(run.state.step):,} in epoch {run.epoch}", file=sys.stderr, flush=True)
    before = checkpoint.facts.get("moved_from", [])
    return Start(run, before if source == folder else [*before, source.name])


def newest_of(runs: Sequence[Path]) -> tuple[Path, Checkpoint] | None:
    """The newest complete checkpoint of the first of these runs that has one. Process 0 chooses it, and all read it."""
    chosen, checkpoint = -1, None
    if processes.is_main_process():
        for index, run in enumerate(runs):
            if checkpoint := files.newest(run):
                chosen = index
                break
    facts: Mapping[str, Any] = checkpoint.facts if checkpoint else {}
    chosen, epoch, step = processes.agree_max(chosen, int(facts.get("epoch", 0)), int(facts.get("step", 0)))
    if chosen < 0:
        return None
    run = runs[chosen]
    return run, checkpoint or _shared(run / checkpoint_name(epoch, step))


def moved_from(record: Mapping[str, Any]) -> Path | None:
    """The folder of the run that CHECKPOINT_FROM names. Raises UserError unless it was made from the same as `record`,
    apart from the mesh and the kind of device.
    """
    if not (name := os.environ.get(FROM)):
        return None
    run = top() / name
    written = checkpoints(run) if run.parent == top() else []
    if not written:
        raise UserError(
            f"{FROM}: no run {name!r} has a checkpoint: `python -m pipeline checkpoints list` shows which have"
        )
    facts = strict_json.read(written[-1] / FACTS)
    try:
        theirs, ours = _without_devices(facts["made_from"]), _without_devices(record)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{FROM}: {written[-1] / FACTS} does not say what the run was made from") from error
    if other := ", ".join(sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))):
        raise UserError(f"{FROM}: {name} is another run, not this one on other devices: they differ in {other}")
    return run


def _without_devices(record: Mapping[str, Any]) -> dict[str, Any]:
    """A provenance without the mesh and the kind of device."""
    params = record["params"]
    training = {key: value for key, value in params["training"].items() if key != "mesh"}
    return {**record, "device": None, "params": {**params, "training": training}}


def _shared(folder: Path) -> Checkpoint:
    """The checkpoint that process 0 has read. Raises UserError where this process cannot read it."""
    try:
        return files.read(folder)
    except files.UNREADABLE as error:
        raise UserError(
            f"{folder}: process 0 can read it, and this process cannot: all processes need a shared file system"
        ) from error
