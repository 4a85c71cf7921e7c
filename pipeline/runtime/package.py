"""A package folder: its manifest, its configuration and its exported function.

The manifest holds the size and sha256 of every file, so damage is found before anything is used. It does not prove who
made the package: whoever can change a file can change the manifest too. A signature does, where one is required. The
exported function and the code in `runtime/` run with your rights. Trust a package as you trust a program.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import strict_json, tasks
from .errors import UserError, refusal
from .trust import manifest, signatures


def open_package(folder: Path, require_key: Path | None = None) -> dict[str, Any]:
    """The package's config.json, after every file was checked, first for a signature by `require_key`, a public key,
    if that is given. Raises UserError.
    """
    signatures.require(folder, require_key)
    manifest.verify(folder)
    config = read_object(folder / "config.json", "task", "preprocessing")
    task_of(folder)
    return config


def task_of(folder: Path) -> str:
    """The name of the package's task, after a check of that file alone. Raises UserError if the folder is not a
    package.
    """
    manifest.verify(folder, "config.json")
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
