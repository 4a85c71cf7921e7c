"""A `dvc repro` in a clone, on a slice of the data: started, watched, waited for, wiped."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import clone
import compiled
import psutil
from ruamel.yaml import YAML
from tally import Log

from pipeline.commands import check

STAGES = ("prepare", "preprocess", "train", "evaluate", "package")
PLOTS = ("plots/history.csv", "plots/images", "plots/tables")
OUTPUTS = ("data/prepared", "data/features", "trained", "evaluation", "package", *PLOTS, "metrics")
LEFT = (*OUTPUTS, "dvc.lock", ".checkpoints", "logs", ".dvc/cache", ".dvc/tmp")
EPOCHS = 40
SECONDS = "0.1"  # between checkpoints
RESUMED = "resuming from step"  # what train prints when it does


class Pipeline:
    """The clone, and a `dvc repro` in it, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = clone.make(folder)
        clone.run(f"sed -i 's/^      epochs: 5$/      epochs: {EPOCHS}/' params.yaml && git commit -qam longer", folder)
        self.durations: dict[str, float] = {}
        self.reference = b""
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder.with_name("output.txt")
        self.environment = {"CHECKPOINT_SECONDS": SECONDS, "PYTHONUNBUFFERED": "1"}

    def start(self, *stages: str) -> None:
        """As `make repro` does, but for the environment, or up to these stages: what is left of a dvc.lock is looked at
        before.
        """
        if not self.readable():
            clone.run("python -m pipeline check", self.folder)
        environment = clone.environment(**self.environment)
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                ["dvc", "repro", *stages],
                cwd=self.folder,
                env=environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
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

    def measure(self) -> None:
        """Runs it without any fault, and notes how long each stage takes and the dvc.lock that it writes. From then on
        it may be killed: half an entry that this leaves of a compiled program is its own, and compiled anew.
        """
        self.start()
        began = [(time.monotonic(), "start")]
        for stage in STAGES:
            assert self.wait_for(lambda stage=stage: f"Running stage '{stage}'" in self.said(), 600), self.said()
            began.append((time.monotonic(), stage))
        assert self.finish() == 0, self.said()
        clone.run("git add -A && git commit -qm run", self.folder)
        ends = [at for at, _ in began[2:]] + [time.monotonic()]
        self.durations = {stage: end - at for (at, stage), end in zip(began[1:], ends, strict=True)}
        self.reference = self.lock()
        self.environment |= compiled.apart(self.folder.with_name("compiled"))

    def keep(self, name: str) -> None:
        """Notes the clone as it is."""
        shutil.copytree(self.folder, self.folder.with_name(name), symlinks=True)

    def restore(self, name: str) -> None:
        """The clone as it was noted, whatever became of it."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.with_name(name), self.folder, symlinks=True)

    def done(self) -> set[str]:
        """The stages that dvc.lock has."""
        lock = self.folder / "dvc.lock"
        return set(YAML(typ="safe").load(lock.read_text())["stages"]) if lock.exists() and self.readable() else set()

    def readable(self) -> bool:
        """Whether DVC can read dvc.lock, if there is one: it may have been killed while it wrote it."""
        lock = self.folder / "dvc.lock"
        return not lock.exists() or check.readable(lock.read_text())

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()

    def same(self, stage: str) -> bool:
        """Whether dvc.lock has of the stage what the run without any fault wrote."""
        entries = [YAML(typ="safe").load(lock)["stages"].get(stage) for lock in (self.lock(), self.reference)]
        return entries[0] is not None and entries[0] == entries[1]

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
        return next((p for p in self.processes() if stage_of(p)), None)

    def checkpoints(self) -> list[Path]:
        """The whole ones, oldest first."""
        return sorted(p for p in self.folder.glob(".checkpoints/*/[0-9]*") if p.suffix != ".tmp" and p.is_dir())

    def comes_to_its_end(self, log: Log, fault: str) -> None:
        """Lets the run end undisturbed, and logs what was lost."""
        self.finish()
        self.start()
        code = self.finish()
        if code or self.lock() != self.reference:
            kept = self.folder.with_name(f"lost-{time.time_ns()}")
            shutil.copytree(self.folder, kept, symlinks=True)
            same = "is" if self.lock() == self.reference else "is not"
            log.lost(fault, f"exit {code}, dvc.lock {same} equal: {kept}")
        if changed := clone.run("git status --porcelain", self.folder).strip():
            log.lost(fault, f"git status: {changed}")
        if left := list((self.folder / ".checkpoints").glob("*")):
            log.lost(fault, f"checkpoints are left: {left}")

    def training(self) -> bool:
        return any(stage_of(p) == "train" for p in self.processes())

    def steps(self) -> list[int]:
        """Each step that training noted, in order: where it went on from, and where its checkpoints were."""
        log = self.folder / "logs/train.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line)["step"] for line in lines if '"step"' in line and line.endswith("}")]


def stage_of(process: psutil.Process) -> str:
    """The stage that a process runs, or "": the two words after "-m"."""
    command = command_of(process)
    at = command.index("pipeline") if "pipeline" in command else len(command)
    return command[at + 1] if command[at + 1 : at + 2] and command[at + 1] in STAGES else ""


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
