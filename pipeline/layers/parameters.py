"""What each parameter of a network is for, which its type says: by it, not by its name, optimizers and sharding decide.

A plain nnx.Param, as the layers of Flax have, is a vector where it has fewer than two axes, and else a kernel: one
matrix, whose outputs are the last axis and whose inputs are all others. What is neither has one of the types below.
"""

from typing import Any, NamedTuple

from flax import nnx


class Vectors(nnx.Param):
    """Rows that act one by one and form no matrix, such as the taps of a convolution that keeps channels apart."""


class EmbeddingTable(Vectors):
    """Vectors of tokens, or of anything else that has a number."""


class StackedMatrices(nnx.Param):
    """A matrix for each layer: the first axis numbers the layers, the second is the inputs, all others the outputs."""


class Role(NamedTuple):
    matrix: tuple[tuple[int, ...], tuple[int, ...]] | None  # its axes of inputs and of outputs; others stack matrices
    decays: bool  # by weight decay: all but vectors
    tensor_axis: int | None  # the axis along which several devices can share a layer: `tensor_axis=` of the parameter


Roles = dict[str, Role]  # by the parameter's dotted name


def roles(model: nnx.Module) -> Roles:
    """The role of each parameter."""
    embeddings = {(*path, "embedding") for path, module in nnx.iter_modules(model) if isinstance(module, nnx.Embed)}
    parameters = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): _role(variable, path in embeddings) for path, variable in parameters}


def _role(variable: Any, is_embedding: bool) -> Role:
    axes = tuple(range(variable.ndim))
    matrix = None
    if isinstance(variable, StackedMatrices):
        matrix = axes[1:2], axes[2:]
    elif len(axes) > 1 and not isinstance(variable, Vectors) and not is_embedding:
        matrix = axes[:-1], axes[-1:]
    return Role(matrix, len(axes) > 1, variable.get_metadata().get("tensor_axis"))
