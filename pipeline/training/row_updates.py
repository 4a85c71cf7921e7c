"""Optimizer steps that touch, of each table, only the rows that a batch looked up, and those rows' optimizer state.

As in LazyAdam of TensorFlow Addons, the averages of a row stand still in a step that does not look it up.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from pipeline.evaluation.predictor import Tree
from pipeline.models.weights import named

Ids = dict[str, Int[Array, " n"]]  # by the table's dotted name


def names_of(params: Tree) -> Tree:
    """A tree like `params` of the parameters' dotted names."""
    return jax.tree.unflatten(jax.tree.structure(params), list(named(params)))


def names_in_state(tx: optax.GradientTransformation, opt_state: optax.OptState, params: Tree) -> Any:
    """A tree like `opt_state` of the dotted names of the parameters that its arrays belong to; "" for none."""
    return optax.tree.map_params(
        tx,
        lambda array, name: array if _masked(array) else name,
        opt_state,
        names_of(params),
        transform_non_params=lambda _: "",
        is_leaf=_masked,  # an optimizer for only some of the parameters has a MaskedNode in place of the others
    )


def _masked(array: Any) -> bool:
    return isinstance(array, optax.MaskedNode)


def distinct(
    ids: Int[Array, " n"], gradients: Float[Array, "n d"], rows: int
) -> tuple[Int[Array, " n"], Float[Array, "n d"]]:
    """Each row among `ids` once, in its first place, with the sum of its gradients. In its later places stands the row
    `rows`, which no table has.

    The first places are found by one number for each row of the table: on a CPU that is less work than sorting the ids.
    """
    places = jnp.arange(len(ids))
    first = jnp.full(rows, len(ids)).at[ids].min(places)[ids]  # n
    return jnp.where(first == places, ids, rows), jnp.zeros_like(gradients).at[first].add(gradients)


def update(
    tx: optax.GradientTransformation, gradients: Tree, opt_state: optax.OptState, params: Tree, ids: Ids
) -> tuple[Tree, optax.OptState]:
    """The parameters and the optimizer's state after one step. Of each table in `ids` the optimizer sees only those
    rows, and `gradients` holds the gradients of those rows in place of the table's.
    """

    def take(array: Shaped[Array, "..."], name: str) -> Shaped[Array, "..."]:
        return array.at[ids[name]].get(mode="fill", fill_value=0) if name in ids else array

    def put(array: Shaped[Array, "..."], rows: Shaped[Array, "..."], name: str) -> Shaped[Array, "..."]:
        return array.at[ids[name]].set(rows, mode="drop") if name in ids else rows

    names, state_names = names_of(params), names_in_state(tx, opt_state, params)
    rows = jax.tree.map(take, params, names)
    updates, state_rows = tx.update(gradients, jax.tree.map(take, opt_state, state_names), rows)
    rows = optax.apply_updates(rows, updates)
    return jax.tree.map(put, params, rows, names), jax.tree.map(put, opt_state, state_rows, state_names)
