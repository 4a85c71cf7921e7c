"""What evaluate wrote at a git revision, in an experiment or in the workspace, out of DVC's cache."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.scm import SCMError
from dvc_data.index import DataIndexError
from ruamel.yaml import YAML, YAMLError

from pipeline.config import paths
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS

WORKSPACE = "workspace"
LOCK = "dvc.lock"
STAGE = "evaluate"
MISSING = OSError, DataIndexError  # a file, a folder's list of files: not in the cache
RAN = "evaluate", "train"  # the stages whose settings a result comes from


@dataclass(frozen=True)
class Revision:
    name: str
    task: str
    dataset: str
    model: str
    seed: int
    files: DVCFileSystem

    @property
    def title(self) -> str:
        return f"{self.dataset}, {self.model}, seed {self.seed}"

    def read(self, file: str) -> pd.DataFrame:
        """A table of the folder evaluation. Raises UserError where it is not in the cache or cannot be read."""
        path = (paths.EVALUATION / file).as_posix()
        try:
            wanted = self.files.info(path).get("dvc_info", {}).get("md5")
            with self.files.open(path, "rb") as stream:
                content: Any = stream.read()
        except (*MISSING, DvcException) as error:
            raise UserError(
                f"{self.name}: {path} is not in DVC's cache: `dvc pull --all-commits {STAGE}` fetches it, if it was "
                "pushed (of an experiment: `dvc exp pull`); or run it again"
            ) from error
        if wanted and hashlib.md5(content, usedforsecurity=False).hexdigest() != wanted:
            raise UserError(f"{self.name}: {path} is not what {LOCK} records: `dvc repro` or `dvc checkout` mends it")
        try:
            return pd.read_parquet(io.BytesIO(content))
        except (pyarrow.ArrowException, ValueError, OSError) as error:
            raise UserError(f"{self.name}: {path} is no table: {error}") from error

    def has(self, file: str) -> bool:
        try:
            return self.files.exists((paths.EVALUATION / file).as_posix())
        except (*MISSING, DvcException):
            return False


def find(name: str) -> Revision:
    """The results at a git revision, of an experiment by its name, or of the workspace. Raises UserError where there
    are none, or none of the settings that it has.
    """
    try:
        files = DVCFileSystem(".", rev=None if name == WORKSPACE else name)
        lock = _yaml(files, LOCK, name).get("stages", {})
        settings = _yaml(files, paths.PARAMS.as_posix(), name)
    except SCMError as error:
        raise UserError(
            f"{name}: no git revision or experiment has this name (`dvc exp list` shows experiments; one that failed "
            "keeps no results: `dvc queue status`)"
        ) from error
    except DvcException as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error
    if STAGE not in lock or "train" not in lock:
        raise UserError(f"{name}: {STAGE} has not run there: {LOCK} has no such stage")
    for stage in RAN:
        if changed := _changed(lock[stage].get("params", {}).get(paths.PARAMS.as_posix(), {}), settings):
            raise UserError(f"{name}: {stage} ran with another {changed} than {paths.PARAMS} has: run `dvc repro`")
    if _hash(lock[STAGE], "deps") != _hash(lock["train"], "outs"):
        raise UserError(f"{name}: {STAGE} has not run on what train made: run `dvc repro`")
    dataset = str(settings.get("dataset"))
    task = settings.get("datasets", {}).get(dataset, {}).get("task", {}).get("name")
    if task not in TASKS:
        raise UserError(f"{name}: {paths.PARAMS} has no task that this version knows: {task}")
    return Revision(name, task, dataset, str(settings.get("model")), settings.get("seed", 0), files)


def _changed(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """A key whose value is another one in params.yaml than the stage ran with."""
    for key, value in recorded.items():
        found: Any = settings
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found != value:
            return key
    return None


def _hash(stage: Mapping[str, Any], what: str) -> str | None:
    wanted = paths.TRAINED.as_posix()
    return next((entry["md5"] for entry in stage.get(what, []) if entry["path"] == wanted), None)


def _yaml(files: DVCFileSystem, path: str, name: str) -> dict[str, Any]:
    try:
        with files.open(path, "rb") as stream:
            return YAML(typ="safe").load(stream.read()) or {}
    except OSError as error:
        raise UserError(f"{name}: there is no {path}: nothing was run there") from error
    except YAMLError as error:
        raise UserError(f"{name}: {path} cannot be read: {' '.join(str(error).split())}") from error
