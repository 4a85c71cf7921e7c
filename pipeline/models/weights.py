"""A model's arrays <-> one safetensors file, under dotted names such as `params.conv.kernel`."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pipeline.runtime.errors import UserError


def write(path: Path, tree: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save({name: np.asarray(array) for name, array in named(tree).items()}))


def read(path: Path, like: dict[str, Any]) -> dict[str, Any]:
    """The arrays in `path`, nested as in `like`. Raises UserError where names or shapes differ."""
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({error}); `dvc repro` makes it anew") from error
    wanted = named(like)
    for name in sorted(wanted.keys() | arrays.keys()):
        in_file, in_model = (x[name].shape if name in x else None for x in (arrays, wanted))
        if in_file != in_model:
            raise UserError(f"{path}: {name} has the shape {in_file}, but in the model {in_model}: train it again")
    structure = jax.tree.structure(like)
    return jax.tree.unflatten(structure, [arrays[name] for name in wanted])


def named(tree: Any) -> dict[str, Any]:
    """The leaves of nested dicts and tuples by their dotted names, in the order of `jax.tree.leaves`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {dotted(path): leaf for path, leaf in leaves}


def dotted(path: Any) -> str:
    """A path in nested dicts and tuples, as JAX has it, as a dotted name."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
