"""A disk that is full: under the checkpoints alone, then under everything, for each stage."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clone
from repro import SECONDS, STAGES, Pipeline
from tally import Log


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


def fill_up(pipeline: Pipeline, log: Log, stages: tuple[str, ...]) -> None:
    """A disk that is full, under the checkpoints alone, then under everything, for each of the stages; then there is
    room.
    """
    fault = "full disk: checkpoints"
    pipeline.wipe()
    try:
        with small_disk(pipeline.folder / ".checkpoints", "1m"):
            log.note(fault).tried += 1
            pipeline.start("train")
            code, said = pipeline.finish(), pipeline.said()
            if code or "warning: no checkpoint was written" not in said or not pipeline.same("train"):
                log.lost(fault, f"exit {code}: {said[-1500:]}")
        small, usual = pipeline.folder.with_name("small"), pipeline.folder
        with small_disk(small, "600m"):
            pipeline.wipe()
            pipeline.folder = Path(shutil.copytree(usual, small / "clone", symlinks=True))
            for stage in stages:
                fault = f"full disk: {stage}"
                log.note(fault).tried += 1
                if before := STAGES[: STAGES.index(stage)]:
                    clone.run(f"dvc repro -q {before[-1]}", pipeline.folder, CHECKPOINT_SECONDS=SECONDS)
                shutil.rmtree(pipeline.folder / ".checkpoints", ignore_errors=True)  # evaluate would make room of them
                fill(small, leave=20_000)
                pipeline.start()
                code, said = pipeline.finish(), pipeline.said()
                if not code or "no space left" not in said.lower() or "Traceback" in said:
                    log.lost(fault, f"exit {code}: {said[-1500:]}")
                (small / "filler").unlink()
            pipeline.comes_to_its_end(log, "full disk: the end")
        pipeline.folder = usual
    except PermissionError as error:
        log.note(f"full disk: not possible here ({error})")


def fill(folder: Path, *, leave: int) -> None:
    """Fills the disk up to so many bytes."""
    with (folder / "filler").open("wb") as file:
        while (free := shutil.disk_usage(folder).free) > leave:
            file.write(b"x" * min(1 << 16, free - leave))
            file.flush()
