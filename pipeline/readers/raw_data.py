"""Where raw data may lie, and whether it is what it was: checked before anything is read.

DVC must see every byte that a result is made from, and git or DVC must be able to hand those bytes to a clone.
"""

import gzip
import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

from pipeline.config import paths
from pipeline.runtime.errors import UserError

SUMS = "SHA256SUMS"
LARGE = 5_000_000  # bytes: more belongs to DVC, not to git


def check(source: Path, dataset: str) -> None:
    """Raises UserError unless `source`, that of `dataset`, lies within data/raw, exists, is reached through no link to
    a folder and has the content that its SHA256SUMS lists.
    """
    key = f"datasets.{dataset}.data.source"
    if paths.RAW not in source.parents or ".." in source.parts:
        raise UserError(f"{key}: {source} is not inside {paths.RAW}/, the folder that DVC watches: move it there")
    refuse_folder_links(source)
    if not source.exists():
        raise UserError(f"{key}: {source}: no such file or folder; {_cure(source)}")
    for folder, subfolders, _ in os.walk(source):
        for name in sorted(subfolders):
            _refuse_folder_link(Path(folder, name))
    if lacking := _left_behind(source):
        raise UserError(
            f"{key}: {source}: {len(lacking):,} of its files, such as {lacking[0].name}, are only in {_project()}: an "
            f"experiment sees only tracked files: {_track(source)}"
        )
    verify_sums(source)


def warn_of_large() -> None:
    """Prints a warning where DVC will commit large files to git with the experiment that is running, because neither
    git nor DVC tracks them.
    """
    if "DVC_EXP_NAME" not in os.environ or _is_elsewhere():
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard", "--", paths.RAW], capture_output=True, text=True
    ).stdout
    files = [path for name in listed.split("\0") if name and (path := Path(name)).is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > LARGE:
        tops = sorted({str(Path(*path.parts[: len(paths.RAW.parts) + 1])) for path in files})
        print(
            f"warning: DVC will commit {size / 1e6:,.0f} MB of data to git with this experiment, because neither git "
            f"nor DVC tracks it: to keep it out of git, press Ctrl-C and run `dvc add {' '.join(tops[:5])}`",
            file=sys.stderr,
        )


def refuse_folder_links(path: Path) -> None:
    """Raises UserError where `path`, or a folder on the way to it from data/raw on, is a link to a folder."""
    if paths.RAW in (path, *path.parents):
        for part in (*reversed(path.parents), path):
            _refuse_folder_link(part)


def _refuse_folder_link(path: Path) -> None:
    if not (path.is_symlink() and path.is_dir()):
        return
    if path in (paths.RAW, *paths.RAW.parents):
        raise UserError(
            f"{path}: is a link to a folder; git stores the link without the data, which clones and experiments would "
            f"lack: make {path} a folder (`dvc add {paths.RAW}/NAME` keeps large data out of git)"
        )
    raise UserError(
        f"{path}: is a link to a folder; DVC does not follow it, so changed data would rerun nothing: move the "
        f"folder here (`dvc add {path}` then keeps it out of git)"
    )


def _cure(source: Path) -> str:
    """What to do about a source that does not exist here."""
    if _is_elsewhere() and (_project() / source).exists():
        return f"it exists in {_project()}, but an experiment sees only tracked files: {_track(source)}"
    return f"put it there or correct the path (in a clone or an experiment only tracked files exist: {_track(source)})"


def _track(source: Path) -> str:
    return f"run `git add {source}`, or for large data `dvc add {source}` and `git add {source}.dvc`"


def _project() -> Path:
    return Path(os.environ.get("DVC_ROOT", "."))


def _is_elsewhere() -> bool:
    """Whether this is a queued or temporary experiment, which runs outside of the project's folder."""
    return _project().resolve() != Path.cwd()


def _left_behind(source: Path) -> list[Path]:
    """The files of the source that are in the project, and not in the folder of the experiment that runs."""
    if not _is_elsewhere():
        return []
    files = sorted(path for path in (_project() / source).rglob("*") if not path.name.startswith("."))
    return [path for path in files if path.is_file() and not (source / path.relative_to(_project() / source)).exists()]


def refuse_left_behind(path: Path) -> None:
    """Raises UserError where a file beside the source, such as a table's picture, is in the project and not in the
    folder of the experiment that runs.
    """
    if _is_elsewhere() and not path.exists() and (_project() / path).exists():
        whole = path if path.parent == paths.RAW else path.parent
        raise UserError(f"{path}: is in {_project()} alone: an experiment sees only tracked files: {_track(whole)}")


def verify_sums(source: Path) -> None:
    """Compares each file that SHA256SUMS in `source` lists: the sha256 is that of the file's decompressed content."""
    sums = source / SUMS
    if not sums.exists():
        return
    for row, line in enumerate(sums.read_text(encoding="utf-8").splitlines(), start=1):
        expected, _, name = line.partition("  ")
        packed = source / f"{name}.gz"
        path = packed if packed.exists() else source / name
        try:
            with gzip.open(path) if path == packed else path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"{path}: cannot be read ({reason}); it is listed in {sums} row {row}: fetch it again"
            ) from error
        if actual != expected:
            raise UserError(
                f"{path}: the sha256 of its content is {actual[:16]}..., {sums} row {row} says {expected[:16]}...: "
                "fetch it again, or correct that row if you changed the data on purpose"
            )
