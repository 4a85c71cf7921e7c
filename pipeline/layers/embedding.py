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
from pipeline.layers.precision import half_on_gpu

BLOCK = 256  # sorted rows that are summed in one product


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
    In half precision it is taken over sorted rows there.
    """
    if half_on_gpu(dtype):
        return _embed_with_sorted_gradient(table, ids)
    return look_up(table, ids).astype(dtype)


def unembed(table: Float[Array, "v d"], x: Float[Array, "b t d"]) -> Float[Array, "b t v"]:
    """The logits of the next token: x table^T, summed in float32."""
    return jnp.einsum("btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _embed_with_sorted_gradient(table: Float[Array, "v d"], ids: Int[Array, "b t"]) -> Float[Array, "b t d"]:
    return look_up(table, ids).astype(jnp.bfloat16)


def _forward(table: Array, ids: Array) -> tuple[Array, tuple[Array, Array]]:
    return _embed_with_sorted_gradient(table, ids), (table, ids)


def _backward(saved: tuple[Array, Array], gradients: Float[Array, "b t d"]) -> tuple[Float[Array, "v d"], None]:
    table, ids = saved
    return sum_by_id(ids.reshape(-1), gradients.reshape(-1, table.shape[1]), len(table)), None


_embed_with_sorted_gradient.defvjp(_forward, _backward)


def sum_by_id(ids: Int[Array, " n"], rows: Float[Array, "n d"], count: int) -> Float[Array, "v d"]:
    """The sum of the rows of each id below `count`, in float32 and always in the same order.

    Sorted by id, the rows of an id lie together. In blocks of m, a product with a triangle of ones and zeros adds to
    each row those before it that have its id; the last row of an id then holds the sum.
    """
    order = jnp.argsort(ids)
    size = min(BLOCK, len(ids))
    padding = -len(ids) % size
    ids = jnp.pad(ids[order], (0, padding), constant_values=count)  # n
    blocks, rows = ids.reshape(-1, size), jnp.pad(rows[order], ((0, padding), (0, 0)))  # k m
    before = (blocks[:, :, None] == blocks[:, None]) & jnp.tri(size, dtype=bool)[None]  # k m m
    in_blocks = rows.reshape(*blocks.shape, -1)  # k m d
    sums = jnp.einsum("kij,kjd->kid", before.astype(rows.dtype), in_blocks, preferred_element_type=jnp.float32)
    # What earlier blocks hold of a block's first id stands in their last rows.
    earlier = (blocks[:, :1] == blocks[None, :, -1]) & jnp.tri(len(blocks), k=-1, dtype=bool)  # k k
    carried = jnp.matmul(earlier.astype(jnp.float32), sums[:, -1], precision="highest")  # k d
    sums += jnp.where((blocks == blocks[:, :1])[..., None], carried[:, None], 0)
    is_last = (ids != jnp.append(ids[1:], count)) & (ids < count)
    places = jnp.where(is_last, ids, count + jnp.arange(len(ids)))  # those outside the table are dropped
    table = jnp.zeros((count, rows.shape[1]), jnp.float32)
    return table.at[places].set(sums.reshape(len(ids), -1), mode="drop", unique_indices=True)
