"""Tables whose rows are looked up, and training that touches only the rows of a batch.

The gradient of a whole table is zero but for the rows that a batch looked up; to store it, and to let the optimiser run
over it, would cost as much as the vocabulary is large. So the learner asks for the gradient of what was looked up, row
by row, and updates just those rows and their share of the optimiser's state (as in LazyAdam of TensorFlow Addons: the
averages of a row that is not looked up stand still).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Shaped

Tree = dict[str, Any]
Hook = Callable[[Float[Array, "... d"], Int[Array, "..."]], Float[Array, "... d"]]


class Table(nnx.Param):
    """A parameter whose rows are looked up, a few at a time."""


class Embed(nnx.Module):
    """Row number -> row. `hook` stands between the table and what is made of it: it may watch and change the rows."""

    def __init__(self, rows: int, width: int, *, scale: float = 1.0, rngs: nnx.Rngs) -> None:
        self.table = Table(scale * jax.random.normal(rngs.params(), (rows, width)))
        self.hook: Hook | None = None

    def __call__(self, ids: Int[Array, "..."]) -> Float[Array, "... d"]:
        found = jnp.take(self.table[...], ids, axis=0, mode="clip")
        return found if self.hook is None else self.hook(found, ids)


def embed(table: Float[Array, "v d"], ids: Int[Array, "b t"], dtype: jax.typing.DTypeLike) -> Float[Array, "b t d"]:
    """Rows of a table that is trained as a whole, such as one that also unembeds.

    The gradient of each row is a sum, which is slow on a GPU where the order of the sum must be the same in each run.
    In half precision it is a matrix product there.
    """
    if jnp.dtype(dtype) == jnp.bfloat16 and jax.default_backend() == "gpu":
        return _embed_with_product_gradient(table, ids)
    return jnp.take(table, ids, axis=0, mode="clip").astype(dtype)


def unembed(table: Float[Array, "v d"], x: Float[Array, "b t d"]) -> Float[Array, "b t v"]:
    """The logits of the next token: x table^T, summed in float32."""
    return jnp.einsum("btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _embed_with_product_gradient(table: Float[Array, "v d"], ids: Int[Array, "b t"]) -> Float[Array, "b t d"]:
    return jnp.take(table, ids, axis=0, mode="clip").astype(jnp.bfloat16)


def _forward(table: Array, ids: Array) -> tuple[Array, tuple[Array, Array]]:
    return _embed_with_product_gradient(table, ids), (table, ids)


def _backward(saved: tuple[Array, Array], gradients: Float[Array, "b t d"]) -> tuple[Float[Array, "v d"], None]:
    table, ids = saved

    def add(total: Array, some: tuple[Array, Array]) -> tuple[Array, None]:
        chosen = jax.nn.one_hot(some[0], len(table), dtype=some[1].dtype)  # t v
        return total + jnp.einsum("tv,td->vd", chosen, some[1], preferred_element_type=jnp.float32), None

    return jax.lax.scan(add, jnp.zeros_like(table), (ids, gradients))[0], None


_embed_with_product_gradient.defvjp(_forward, _backward)


def hook(model: nnx.Module, make: Callable[[str], Hook]) -> None:
    """Hangs a hook into each Embed of the model: `make` is given the dotted name of its table."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Embed):
            module.hook = make(".".join(map(str, (*path, "table"))))


def distinct(
    ids: Int[Array, " n"], gradients: Float[Array, "n d"], rows: int
) -> tuple[Int[Array, " n"], Float[Array, "n d"]]:
    """Each row among `ids` once, where it stands first, with the sum of all its gradients. Where a row stands again, it
    becomes row `rows`, which no table has.

    One number a row finds the first place of each: less work, for a CPU, than to sort the ids.
    """
    places = jnp.arange(len(ids))
    first = jnp.full(rows, len(ids)).at[ids].min(places)[ids]  # n
    return jnp.where(first == places, ids, rows), jnp.zeros_like(gradients).at[first].add(gradients)


def update_rows(
    tx: optax.GradientTransformation,
    gradients: Tree,
    opt: optax.OptState,
    params: Tree,
    ids: dict[str, Int[Array, " n"]],
    names: Tree,
) -> tuple[Tree, optax.OptState]:
    """One step of the optimiser, which sees of each table named in `ids` only the rows that `ids` says.

    `gradients` holds, for such a table, the gradients of those rows; `names` is a tree like `params` of dotted names.
    """

    def taken(array: Shaped[Array, "..."], name: str) -> Shaped[Array, "..."]:
        return array.at[ids[name]].get(mode="fill", fill_value=0) if name in ids else array

    def put(array: Shaped[Array, "..."], small: Shaped[Array, "..."], name: str | None) -> Shaped[Array, "..."]:
        return array.at[ids[name]].set(small, mode="drop") if name in ids else small

    # Which leaves of the optimiser's state belong to which parameter.
    # An optimiser that is for some parameters only has a MaskedNode in the place of the others.
    owner = optax.tree.map_params(
        tx,
        lambda state, name: state if _masked(state) else name,
        opt,
        names,
        transform_non_params=lambda _: "",
        is_leaf=_masked,
    )
    few = jax.tree.map(taken, params, names)
    updates, state = tx.update(gradients, jax.tree.map(taken, opt, owner), few)
    few = optax.apply_updates(few, updates)
    return jax.tree.map(put, params, few, names), jax.tree.map(put, opt, state, owner)


def _masked(state: Any) -> bool:
    return isinstance(state, optax.MaskedNode)
