"""Interrupts the pipeline at random moments, damages its checkpoints, fills its disk: the same must come out.

make chaos, or: python tests/chaos.py --seed 0 --kills 200 --damages 50

Works in a clone on a slice of the data. Ends with a table, and with exit code 1 if anything was lost or differed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clone
import pandas as pd
import psutil
from ruamel.yaml import YAML
from tqdm import tqdm

WEIGHTS = {"prepare": 1, "preprocess": 1, "train": 5, "evaluate": 1, "package": 1}  # train is the longest, in use
OUTPUTS = ("data/prepared", "data/features", "model", "trained_on.json", "evaluation", "package", "plots", "metrics")
LEFT = (*OUTPUTS, "dvc.lock", ".checkpoints", "logs", ".dvc/cache", ".dvc/tmp")
MOST = 20  # interruptions of one run
ORPHANS = 15.0  # seconds for a stage to end after its DVC
EPOCHS = 40
SECONDS = "0.1"  # between checkpoints

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
FAULTS = (("stage", "kill"), ("stage", "term"), ("dvc", "kill"), ("dvc", "term"), ("group", "kill"), ("group", "int"))


@dataclass
class Tally:
    """One row of the final table."""

    tried: int = 0
    resumed: int = 0  # training went on from a checkpoint afterwards
    redone: int = 0  # steps that were taken again
    most: int = 0  # of them, after one fault
    lost: list[str] = field(default_factory=list)


class Log:
    """A JSON line for each thing that was done, and the tallies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tallies: dict[str, Tally] = {}

    def note(self, fault: str, **facts: Any) -> Tally:
        with self.path.open("a", encoding="utf-8") as file:
            print(json.dumps({"fault": fault, **facts}), file=file)
        return self.tallies.setdefault(fault, Tally())

    def lost(self, fault: str, what: str) -> None:
        self.note(fault, lost=what).lost.append(what)

    def table(self) -> str:
        rows = [
            {
                "fault": fault,
                "tried": tally.tried,
                "resumed": tally.resumed,
                "steps redone": tally.redone,
                "at most": tally.most,
                "lost or different": len(tally.lost),
            }
            for fault, tally in self.tallies.items()
        ]
        return pd.DataFrame(rows).to_string(index=False)


class Pipeline:
    """The clone, and a `dvc repro` in it, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = clone.make(folder, train=600, test=200)
        clone.run(f"sed -i 's/^      epochs: 5$/      epochs: {EPOCHS}/' params.yaml && git commit -qam longer", folder)
        self.durations: dict[str, float] = {}
        self.reference = b""
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder.with_name("output.txt")

    def start(self) -> None:
        environment = clone.environment(CHECKPOINT_SECONDS=SECONDS, PYTHONUNBUFFERED="1")
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                ["dvc", "repro"], cwd=self.folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def ends(self) -> int | None:
        assert self.process
        return self.process.poll()

    def wait_for(self, what: Callable[[], bool], seconds: float) -> bool:
        """Until something is the case, or dvc has ended; whether it is the case."""
        deadline = time.monotonic() + seconds
        while not what() and self.ends() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return what()

    def finish(self) -> int:
        assert self.process
        return self.process.wait(timeout=600)

    def measure(self) -> bytes:
        """Runs it without any fault, notes how long each stage takes, and returns dvc.lock."""
        self.start()
        began = [(time.monotonic(), "start")]
        for stage in WEIGHTS:
            assert self.wait_for(lambda stage=stage: f"Running stage '{stage}'" in self.said(), 600), self.said()
            began.append((time.monotonic(), stage))
        assert self.finish() == 0, self.said()
        clone.run("git add -A && git commit -qm run", self.folder)
        ends = [at for at, _ in began[2:]] + [time.monotonic()]
        self.durations = {stage: end - at for (at, stage), end in zip(began[1:], ends, strict=True)}
        return self.lock()

    def done(self) -> set[str]:
        """The stages that dvc.lock has."""
        lock = self.folder / "dvc.lock"
        return set(YAML(typ="safe").load(lock.read_text())["stages"]) if lock.exists() else set()

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()

    def wipe(self) -> None:
        """As before the first run."""
        for name in LEFT:
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def processes(self) -> list[psutil.Process]:
        """All that run in the clone."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def stage(self) -> psutil.Process | None:
        return next((p for p in self.processes() if any(arg.startswith("pipeline.") for arg in _command(p))), None)

    def checkpoints(self) -> list[Path]:
        """The whole ones, oldest first."""
        return sorted(p for p in self.folder.glob(".checkpoints/*/[0-9]*") if p.suffix != ".tmp" and p.is_dir())

    def steps(self) -> list[int]:
        """Each step that training noted, in order: where it went on from, and where its checkpoints were."""
        log = self.folder / "logs/train.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line)["step"] for line in lines if '"step"' in line and line.endswith("}")]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


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
        log.lost(fault, f"still running: {[_command(p) for p in left]}")
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


def a_round(pipeline: Pipeline, reference: bytes, rng: random.Random, log: Log, kills: int, bar: Any) -> int:
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
    ended(pipeline, reference, log, "the end")
    resumptions(pipeline, faults, log)
    return done


def ended(pipeline: Pipeline, reference: bytes, log: Log, fault: str) -> None:
    """Lets the run end undisturbed, and looks for what was lost."""
    pipeline.finish()
    pipeline.start()
    code = pipeline.finish()
    if code or pipeline.lock() != reference:
        kept = pipeline.folder.with_name(f"lost-{time.time_ns()}")
        shutil.copytree(pipeline.folder, kept, symlinks=True)
        log.lost(fault, f"exit {code}, dvc.lock {'is' if pipeline.lock() == reference else 'is not'} equal: {kept}")
    if changed := clone.run("git status --porcelain", pipeline.folder).strip():
        log.lost(fault, f"git status: {changed}")
    if left := list((pipeline.folder / ".checkpoints").glob("*")):
        log.lost(fault, f"checkpoints are left: {left}")


def truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "truncate": truncate,
    "flip a bit": flip,
    "delete": lambda path, _: path.unlink(),
    "empty": lambda path, _: os.truncate(path, 0),
}


def a_damage(pipeline: Pipeline, reference: bytes, rng: random.Random, log: Log, *, last: bool) -> None:
    """Stops training once it has checkpoints, damages one file of the newest or of all, and starts again."""
    pipeline.start()
    if not pipeline.wait_for(lambda: len(pipeline.checkpoints()) > 1 and _training(pipeline), 300):
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
    pipeline.wait_for(lambda: len(pipeline.checkpoints()) > 1 and _training(pipeline), 120)
    log.tallies[fault].resumed += "going on from step" in pipeline.said()
    if last:
        pipeline.finish()
        ended(pipeline, reference, log, fault)
    elif victim := pipeline.stage():
        victim.kill()
        pipeline.finish()


def _training(pipeline: Pipeline) -> bool:
    return any("pipeline.train" in _command(p) for p in pipeline.processes())


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[None]:
    """A file system of that size. Raises PermissionError where none may be mounted."""
    at.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True).returncode:
        raise PermissionError("no right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def full_disk(pipeline: Pipeline, reference: bytes, log: Log) -> None:
    """A disk that is full, under the checkpoints alone, then under everything, for each stage; then there is room."""
    fault = "full disk: checkpoints"
    pipeline.wipe()
    try:
        with small_disk(pipeline.folder / ".checkpoints", "1m"):
            log.note(fault).tried += 1
            pipeline.start()
            code, said = pipeline.finish(), pipeline.said()
            if code or "warning: no checkpoint was written" not in said or pipeline.lock() != reference:
                log.lost(fault, f"exit {code}: {said[-1500:]}")
        small, usual = pipeline.folder.with_name("small"), pipeline.folder
        with small_disk(small, "600m"):
            pipeline.wipe()
            pipeline.folder = Path(shutil.copytree(usual, small / "clone", symlinks=True))
            for stage in WEIGHTS:
                fault = f"full disk: {stage}"
                log.note(fault).tried += 1
                shutil.rmtree(pipeline.folder / ".checkpoints", ignore_errors=True)  # evaluate would make room of them
                fill(small, leave=20_000)
                pipeline.start()
                code, said = pipeline.finish(), pipeline.said()
                if not code or "no space left" not in said.lower() or "Traceback" in said:
                    log.lost(fault, f"exit {code}: {said[-1500:]}")
                (small / "filler").unlink()
                clone.run(f"dvc repro -q {stage}", pipeline.folder, CHECKPOINT_SECONDS=SECONDS)
            ended(pipeline, reference, log, "full disk: the end")
        pipeline.folder = usual
    except PermissionError as error:
        log.note(f"full disk: not possible here ({error})")


def fill(folder: Path, *, leave: int) -> None:
    """Fills the disk up to so many bytes."""
    with (folder / "filler").open("wb") as file:
        while (free := shutil.disk_usage(folder).free) > leave:
            file.write(b"x" * min(1 << 16, free - leave))
            file.flush()


def run(folder: Path, *, seed: int, kills: int, damages: int) -> Log:
    """All faults, in a clone at `folder`."""
    rng = random.Random(seed)
    log = Log(folder / "chaos.jsonl")
    pipeline = Pipeline(folder / "clone")
    reference = pipeline.measure()
    log.note("none", seconds=pipeline.durations).tried += 1
    with tqdm(total=kills + damages, desc="chaos", unit=" faults", disable=None) as bar:
        done = 0
        while done < kills:
            done += a_round(pipeline, reference, rng, log, min(rng.randint(1, MOST), kills - done), bar)
        pipeline.wipe()
        for number in range(damages):
            a_damage(pipeline, reference, rng, log, last=number % 5 == 4 or number == damages - 1)
            bar.update()
    full_disk(pipeline, reference, log)
    return log


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--damages", type=int, default=50)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    log = run(folder, seed=arguments.seed, kills=arguments.kills, damages=arguments.damages)
    print(log.table())
    print(f"{log.path}: a line for each fault")
    return 1 if any(tally.lost for tally in log.tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
