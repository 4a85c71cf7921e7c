"""Interrupts the pipeline at random moments, damages its checkpoints, fills its disk: the same must come out."""

import math
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from damage import flip
from full_disk import fill_up
from repro import RESUMED, STAGES, Pipeline, command_of
from tally import Log
from tqdm import tqdm

WEIGHTS = dict.fromkeys(STAGES, 1) | {"train": 5}  # train is the longest, in use
MOST = 20  # interruptions of one run
ORPHANS = 15.0  # seconds for a stage to end after its DVC

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
FAULTS = (("stage", "kill"), ("stage", "term"), ("dvc", "kill"), ("dvc", "term"), ("group", "kill"), ("group", "int"))


def interrupt(pipeline: Pipeline, rng: random.Random, log: Log) -> str | None:
    """One fault, at a random moment of a random stage that is still to come; returns its name, or None where the run
    ended before it.
    """
    whom, how = rng.choice(FAULTS)
    to_come = {stage: weight for stage, weight in WEIGHTS.items() if stage not in pipeline.done()}
    if not to_come:
        return None
    stage = rng.choices(list(to_come), list(to_come.values()))[0]
    moment = rng.uniform(0, 1.1 * pipeline.durations[stage])
    pipeline.start()
    assert pipeline.process
    if pipeline.wait_for(lambda: f"Running stage '{stage}'" in pipeline.said(), 300):
        pipeline.wait_for(lambda: False, moment)
    if pipeline.ends() is not None:
        return None
    victim = pipeline.stage() if whom == "stage" else None
    whom = "dvc" if whom == "stage" and not victim else whom
    try:
        if whom == "group":
            os.killpg(pipeline.process.pid, SIGNALS[how])
        elif victim:
            victim.send_signal(SIGNALS[how])
        else:
            pipeline.process.send_signal(SIGNALS[how])
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
    pipeline.finish()
    fault = f"{how} {whom}"
    log.note(fault, stage=stage, after=round(moment, 2), steps=pipeline.steps()[-1:]).tried += 1
    deadline = time.monotonic() + ORPHANS
    while (left := pipeline.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        log.lost(fault, f"still running: {[command_of(p) for p in left]}")
        for process in left:
            process.kill()
    return fault


def resumptions(pipeline: Pipeline, faults: list[tuple[str, int]], log: Log) -> None:
    """Tallies, for each fault, the steps from where training then went on to where it had been."""
    steps = pipeline.steps()
    for fault, at in faults:
        before, after = steps[:at], steps[at : at + 1]
        if before and after:
            tally = log.tallies[fault]
            tally.resumed += after[0] > 0
            again = max(0, max(before) - after[0])
            tally.redone += again
            tally.most = max(tally.most, again)


def a_round(pipeline: Pipeline, rng: random.Random, log: Log, kills: int, bar: Any) -> int:
    """A run from nothing, interrupted up to `kills` times; returns how often it was."""
    pipeline.wipe()
    done, faults = 0, []
    while done < kills:
        fault = interrupt(pipeline, rng, log)
        if fault is None:
            break
        faults.append((fault, len(pipeline.steps())))
        done += 1
        bar.update()
    pipeline.comes_to_its_end(log, "the end")
    resumptions(pipeline, faults, log)
    return done


def truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def a_bit(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    flip(content, rng)
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "truncate": truncate,
    "flip a bit": a_bit,
    "delete": lambda path, _: path.unlink(),
    "empty": lambda path, _: os.truncate(path, 0),
}


def a_damage(pipeline: Pipeline, rng: random.Random, log: Log, *, last: bool) -> None:
    """Stops training once it has checkpoints, damages one file of the newest or of all, and starts again."""
    pipeline.start()
    if not pipeline.wait_for(lambda: len(pipeline.checkpoints()) > 1 and pipeline.training(), 300):
        pipeline.finish()
        pipeline.wipe()
        pipeline.start()
        assert pipeline.wait_for(lambda: len(pipeline.checkpoints()) > 1, 300), pipeline.said()
    pipeline.wait_for(lambda: False, rng.uniform(0, 0.5))
    if victim := pipeline.stage():
        victim.kill()
    pipeline.finish()
    how = rng.choice(list(DAMAGES))
    fault = f"damage: {how}"
    hit = pipeline.checkpoints()[-1:] if rng.random() < 0.8 else pipeline.checkpoints()
    for folder in hit:
        name = rng.choice(["state.safetensors", "state.safetensors", "facts.json", "seal.json"])
        DAMAGES[how](folder / name, rng)
    log.note(fault, hit=[folder.name for folder in hit], left=len(pipeline.checkpoints())).tried += 1
    pipeline.start()
    spoke = pipeline.wait_for(lambda: "a checkpoint is damaged" in pipeline.said(), 120)
    if not spoke:
        log.lost(fault, f"no warning: {pipeline.said()[-300:]}")
    pipeline.wait_for(lambda: len(pipeline.checkpoints()) > 1 and pipeline.training(), 120)
    log.tallies[fault].resumed += RESUMED in pipeline.said()
    if last:
        pipeline.finish()
        pipeline.comes_to_its_end(log, fault)
    elif victim := pipeline.stage():
        victim.kill()
        pipeline.finish()


def run(
    pipeline: Pipeline,
    log: Log,
    *,
    seed: int,
    kills: int,
    damages: int,
    full: tuple[str, ...] = STAGES,
    until: float = math.inf,
) -> None:
    """All faults, and a disk that is full under each of the stages `full`; the clone must have been measured. No fault
    begins when the clock of `time.monotonic` is past `until`.
    """
    rng = random.Random(seed)
    with tqdm(total=kills + damages, desc="chaos", unit=" faults", disable=None) as bar:
        done = 0
        while done < kills and time.monotonic() < until:
            done += a_round(pipeline, rng, log, min(rng.randint(1, MOST), kills - done), bar)
        pipeline.wipe()
        for number in range(damages):
            last = number == damages - 1 or time.monotonic() >= until
            a_damage(pipeline, rng, log, last=last or number % 5 == 4)
            bar.update()
            if last:
                break
    if time.monotonic() < until:
        fill_up(pipeline, log, full)
