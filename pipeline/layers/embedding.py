"""Tables whose rows are looked up.

The gradient of a whole table is zero but for the rows that a batch looks up; to compute it, and to let the optimizer
run over it, would cost as much as the table is large. So training asks for the gradients of the rows alone. For this it
runs the network twice: `record_lookups` notes what is looked up, and `replace_rows` then makes the rows an input of the
network, for which JAX can differentiate.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.layers.parameters import EmbeddingTable


class Lookup(NamedTuple):
    ids: Int[Array, "..."]
    rows: Float[Array, "... d"]


Lookups = dict[str, list[Lookup]]  # by the table's dotted name, in the order of the calls
Rows = dict[str, list[Float[Array, "... d"]]]


def look_up(table: Float[Array, "v d"], ids: Int[Array, "..."]) -> Float[Array, "... d"]:
    return jnp.take(table, ids, axis=0, mode="clip")


class Embed(nnx.Module):
    """Looks up rows by their numbers. Training updates only the rows that a batch looks up."""

    def __init__(self, rows: int, width: int, *, scale: float = 1.0, rngs: nnx.Rngs) -> None:
        self.table = EmbeddingTable(scale * jax.random.normal(rngs.params(), (rows, width)))
        self.look_up: Callable[[Array, Array], Array] = look_up

    def __call__(self, ids: Int[Array, "..."]) -> Float[Array, "... d"]:
        return self.look_up(self.table[...], ids)


class TokenEmbed(Embed):
    """Looks up rows for the tokens of texts, each in its place."""


def scale_tokens(model: nnx.Module, scale: Float[Array, "b t"]) -> bool:
    """From now on, what a TokenEmbed looks up for a token is multiplied by that token's `scale`. Returns whether the
    model has one.
    """

    def scaled(table: Array, ids: Int[Array, "b t ..."]) -> Float[Array, "b t ... d"]:
        return look_up(table, ids) * scale.reshape(*scale.shape, *(1 for _ in range(ids.ndim - 1)))

    found = [module for _, module in nnx.iter_modules(model) if isinstance(module, TokenEmbed)]
    for module in found:
        module.look_up = scaled
    return bool(found)


def record_lookups(model: nnx.Module) -> Lookups:
    """From now on, each lookup of each Embed of the model is added to what this returns."""
    lookups: Lookups = {}
    for name, embed in _embeds(model):
        lookups[name] = []

        def recorded(table: Array, ids: Array, done: list[Lookup] = lookups[name]) -> Array:
            done.append(Lookup(ids, look_up(table, ids)))
            return done[-1].rows

        embed.look_up = recorded
    return lookups


def replace_rows(model: nnx.Module, rows: Rows) -> None:
    """From now on, the n-th lookup of each Embed gives the n-th of its `rows`, whatever its table holds."""
    for name, embed in _embeds(model):
        in_order = iter(rows[name])
        embed.look_up = lambda _table, _ids, in_order=in_order: next(in_order)


def _embeds(model: nnx.Module) -> Iterator[tuple[str, Embed]]:
    """Each Embed, by the dotted name of its table."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Embed):
            yield ".".join(map(str, (*path, "table"))), module


def embed(table: Float[Array, "v d"], ids: Int[Array, "b t"], dtype: jax.typing.DTypeLike) -> Float[Array, "b t d"]:
    """Rows of a table that is trained as a whole, such as one that also unembeds.

    The gradient of each row is a sum, which is slow on a GPU where the order of the sum must be the same in each run.
    In half precision it is a matrix product there.
    """
    if jnp.dtype(dtype) == jnp.bfloat16 and jax.default_backend() == "gpu":
        return _embed_with_product_gradient(table, ids)
    return look_up(table, ids).astype(dtype)


def unembed(table: Float[Array, "v d"], x: Float[Array, "b t d"]) -> Float[Array, "b t v"]:
    """The logits of the next token: x table^T, summed in float32."""
    return jnp.einsum("btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _embed_with_product_gradient(table: Float[Array, "v d"], ids: Int[Array, "b t"]) -> Float[Array, "b t d"]:
    return look_up(table, ids).astype(jnp.bfloat16)


def _forward(table: Array, ids: Array) -> tuple[Array, tuple[Array, Array]]:
    return _embed_with_product_gradient(table, ids), (table, ids)


def _backward(saved: tuple[Array, Array], gradients: Float[Array, "b t d"]) -> tuple[Float[Array, "v d"], None]:
    table, ids = saved

    def add(total: Array, example: tuple[Array, Array]) -> tuple[Array, None]:
        ids, gradients = example  # t, t d
        one_hot = jax.nn.one_hot(ids, len(table), dtype=gradients.dtype)  # t v
        return total + jnp.einsum("tv,td->vd", one_hot, gradients, preferred_element_type=jnp.float32), None

    return jax.lax.scan(add, jnp.zeros_like(table), (ids, gradients))[0], None


_embed_with_product_gradient.defvjp(_forward, _backward)
