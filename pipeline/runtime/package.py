"""A package folder: its manifest, its configuration and its exported function.

The manifest holds the size and sha256 of every file, so damage is found before anything is used. It does not prove who
made the package: whoever can change a file can change the manifest too. The exported function and the code in
`runtime/` run with your rights. Trust a package as you trust a program.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import strict_json, tasks
from .errors import UserError, refusal
from .hashes import sha256

FORMAT = 5
MANIFEST = "manifest.json"


def open_package(folder: Path) -> dict[str, Any]:
    """The package's config.json, after every file was checked. Raises UserError."""
    verify(folder)
    config = read_object(folder / "config.json", "task", "preprocessing")
    task_of(folder)
    return config


def task_of(folder: Path) -> str:
    """The name of the package's task. Raises UserError if the folder is not a package."""
    _read_manifest(folder)
    task = read_object(folder / "config.json", "task")["task"]
    if not tasks.known(task):
        raise UserError(f"{folder / 'config.json'}: {task!r} is not a task that runtime/ knows; copy the package again")
    return task


def read_object(path: Path, *keys: str) -> dict[str, Any]:
    """A JSON object that has at least these keys. Raises UserError."""
    content = strict_json.read(path)
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise UserError(f"{path}: {key} is missing; copy the package again")
    return content


def load_function(folder: Path, name: str = "model.jaxexp") -> tuple[Any, dict[str, Any]]:
    """A function that `jax.export` serialised, and the weights, its first argument. Raises UserError.

    `jax.export.deserialize` requires trusted input; safetensors does not. A JAX that is much older or newer than the
    one that made the package may fail to read it, or to compile it: the error names both versions.
    """
    from jax import export
    from safetensors.numpy import load_file

    try:
        function = export.deserialize(bytearray((folder / name).read_bytes()))
        weights = load_file(folder / "model.safetensors")
    except Exception as error:  # a damaged file raises whatever its parser runs into
        raise UserError(
            f"{folder}: the model cannot be loaded ({type(error).__name__}: {error}){other_jax(folder)}"
        ) from error
    return function, weights


def other_jax(folder: Path) -> str:
    """The end of an error: which JAX made the package, and which is here; nothing where they are the same."""
    from jax import __version__ as here

    try:
        made_by = strict_json.read(folder / "provenance.json")["package"]["versions"]["jax"]
    except (UserError, KeyError, TypeError):
        return ""
    return "" if made_by == here else f": JAX {made_by} made it, and {here} is here: pip install jax=={made_by}"


def run(folder: Path, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, raising UserError where it fails because another version of JAX made the package."""

    def run(*inputs: Any) -> Any:
        try:
            return call(*inputs)
        except Exception as error:
            if refusal(error) or not (why := other_jax(folder)):
                raise
            raise UserError(f"{folder}: the model cannot be run ({type(error).__name__}: {error}){why}") from error

    return run


def seal(folder: Path) -> None:
    """Writes the manifest: the size and sha256 of every other file."""
    files = {name: _size_and_hash(folder / name) for name in _files(folder)}
    strict_json.write(folder / MANIFEST, {"format": FORMAT, "files": files})


def verify(folder: Path) -> None:
    """Raises UserError if a file of the package is missing, changed, or not in the manifest."""
    listed, present = _read_manifest(folder)["files"], set(_files(folder))
    for name in sorted(listed.keys() | present):
        if name not in present:
            raise UserError(f"{folder}: {name} is missing; copy the package again")
        if name not in listed:
            raise UserError(f"{folder}: {name} is not in {MANIFEST}; remove it, or copy the package again")
        if _size_and_hash(folder / name) != listed[name]:
            raise UserError(f"{folder}: {name} is damaged: {MANIFEST} has another sha256; copy the package again")


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        what = "no such folder" if not folder.exists() else f"not a package: it has no {MANIFEST}"
        raise UserError(f"{folder}: {what}; `dvc repro` writes one to `package`")
    manifest = strict_json.read(folder / MANIFEST)
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or not isinstance(manifest.get("files"), dict)
    ):
        raise UserError(
            f"{folder / MANIFEST}: not a manifest of format {FORMAT}: use the version of this project that made the "
            "package, or make it anew with `dvc repro`"
        )
    return manifest


def _files(folder: Path) -> list[str]:
    """The names of all files but the manifest and what Python compiles from `runtime/` when it is imported."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.as_posix() for path in paths if path.name != MANIFEST and "__pycache__" not in path.parts)


def _size_and_hash(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}
