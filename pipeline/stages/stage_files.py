"""What a stage reads, hashed before it reads it, and whether it is still the same when the stage ends.

DVC hashes dependencies only when a stage has ended (dvc #11058): it would record a file that was edited meanwhile as
what the result was made from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from tqdm import tqdm

from pipeline.config import paths
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256

Stamp: TypeAlias = tuple[int, int, int, int]  # every write changes one of these


@dataclass(frozen=True)
class Inputs:
    """What a stage reads: the files it depends on, name -> sha256, its data and the project's own code."""

    stage: str
    dataset: str  # the name of the chosen one, for messages
    data: dict[str, str]
    code: dict[str, str]
    _roots: tuple[Path, ...]
    _stamps: dict[str, Stamp]

    def check(self) -> None:
        """Raises UserError where a file is not what it was when the stage began."""
        stamps = _stamps(self._roots)
        for name in sorted(stamps.keys() | self._stamps.keys()):
            if stamps.get(name) != self._stamps.get(name) and not self._equal(name):
                raise UserError(
                    f"{name}: changed while {self.stage} was running: its result is discarded; "
                    "run the same command again"
                )

    def _equal(self, name: str) -> bool:
        """Whether the content is the same, though something touched the file."""
        return Path(name).is_file() and sha256(Path(name)) == (self.data | self.code).get(name)


def take(stage: str, *, dataset: str, source: str | None = None, model: str | None = None) -> Inputs:
    """Hashes what dvc.yaml says that `stage` depends on; of the raw data only the `source` in use."""
    roots = tuple(dependencies(stage, source=source, model=model))
    stamps = _stamps(roots)
    bar = tqdm(stamps, desc="hash", unit=" files", disable=None, delay=2, leave=False)
    hashes = {name: sha256(Path(name)) for name in bar}
    code = {name: sha for name, sha in hashes.items() if name.startswith("pipeline/")}
    data = {name: sha for name, sha in hashes.items() if name not in code}
    return Inputs(stage, dataset, data, code, roots, stamps)


def dependencies(stage: str, *, source: str | None, model: str | None) -> Iterator[Path]:
    """The files and folders that dvc.yaml lists for the stage, which a test holds to what it imports."""
    for name in in_dvc_yaml(stage)["deps"]:
        path = Path(name.replace("${model}", str(model)))
        yield Path(source) if source and path == paths.RAW else path


def in_dvc_yaml(stage: str) -> dict[str, Any]:
    """What dvc.yaml says of a stage. Raises UserError where there is no such file."""
    try:
        text = paths.DVC.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{paths.DVC}: no such file in {Path.cwd().name}; run from the top of the repository"
        ) from error
    return _parse(text)["stages"][stage]


@lru_cache(maxsize=1)
def _parse(text: str) -> Any:
    return YAML(typ="safe").load(text)


def files(roots: Iterable[Path]) -> Iterator[Path]:
    """The files among `roots`, and all files in the folders among them, in order; none of the compiler's."""
    for path in roots:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if "__pycache__" not in p.parts and p.is_file())
        elif path.exists():
            yield path


def _stamps(roots: Iterable[Path]) -> dict[str, Stamp]:
    """Of each file: where it lies, how large it is, and when its content and its metadata last changed."""
    stamps: dict[str, Stamp] = {}
    for path in files(roots):
        stat = path.stat()
        stamps[path.as_posix()] = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return stamps
