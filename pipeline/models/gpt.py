"""A decoder-only transformer language model (Radford et al. 2019), built as Llama is (Touvron et al. 2023,
arXiv:2302.13971): RMS normalisation before each sublayer, rotary positions, SwiGLU (Shazeer 2020, arXiv:2002.05202),
grouped-query attention, and one table that embeds tokens and unembeds them (Press and Wolf 2017, arXiv:1608.05859).

The layers' weights are stacked, and `lax.scan` runs one compiled layer over them: 48 layers compile as fast as 12. On a
GPU in half precision the layers are compiled one by one instead: what a scan keeps for the backward pass it copies.
Axes: b batch, t time, s positions of the cache, n layers, v vocabulary, d width, h query heads, g key/value heads, e
width of a head.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from pipeline.config.networks import GPTConfig, GPTSize
from pipeline.examples.inputs import Corpus
from pipeline.layers.attention import apply_rotary, cached_attention, causal_attention, rotary_angles
from pipeline.layers.dense import matmul
from pipeline.layers.embedding import embed, unembed
from pipeline.layers.parameters import EmbeddingTable, StackedMatrices
from pipeline.layers.precision import half_on_gpu
from pipeline.layers.rms_norm import rms_norm

Cache = dict[str, Array]
Weights = dict[str, Float[Array, "..."]]
Attention = Callable[[Array, Array, Array, int], Array]  # with the number of the call
Attend = Callable[[Array, Array, Array], Array]

UNROLLED = 12  # layers of a decoding step that are compiled one by one


def build(config: GPTConfig, inputs: Corpus, outputs: int, *, rngs: nnx.Rngs) -> "GPT":
    return GPT(config, outputs, rngs=rngs)


class GPT(nnx.Module):
    bounded = True  # the cache has room for `context` tokens

    def __init__(self, config: GPTConfig, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.attention: Attention = causal_attention
        self.gather: Callable[[Weights], Weights] | None = None  # a layer's whole weights from the devices' shards
        size, n, d = config.size, config.size.layers, config.size.width
        queries = size.heads // size.kv_heads  # of each key/value head
        # Each matrix preserves the variance of its input. The residual stream sums 2 n outputs, whose matrices are
        # scaled down so that the sum preserves it too, as in GPT-2 (Radford et al. 2019, section 2.3).
        residual = (2 * n) ** -0.5
        # Several devices can share a layer: each has some key/value heads and inner features (Shoeybi et al. 2019,
        # arXiv:1909.08053), along the axes that `tensor_axis` names.
        table = 0.02 * jax.random.normal(rngs.params(), (vocabulary, d))
        self.table = EmbeddingTable(table, tensor_axis=-2)
        # For each key/value head: its queries, its key, its value.
        self.qkv = init_matrix(rngs, n, d, size.kv_heads * (queries + 2) * size.head_width, tensor_axis=-1)
        self.out = init_matrix(rngs, n, d, d, scale=residual, tensor_axis=-2)
        # For each inner feature: its gate and its value.
        self.up = init_matrix(rngs, n, d, 2, size.inner, tensor_axis=-1)
        self.down = init_matrix(rngs, n, size.inner, d, scale=residual, tensor_axis=-2)

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t v"]:
        return unembed(self.table[...], self.hidden(tokens, training=training, rngs=rngs))

    def hidden(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t d"]:
        """The final hidden states: unembedded, they are the logits of the next token."""
        rate = self.config.dropout if training else 0.0
        keys = jax.random.split(rngs.dropout() if rate and rngs else jax.random.key(0), self.config.size.layers)
        angles = rotary_angles(jnp.arange(tokens.shape[1])[None], self.config.size.head_width)

        def layer(x: Array, scanned: tuple[Weights, Array], number: int = 0) -> tuple[Array, None]:
            def attend(q: Array, k: Array, v: Array) -> Array:
                return self.attention(apply_rotary(q, angles), apply_rotary(k, angles), v, number)

            weights, key = scanned
            if self.gather:
                weights = self.gather(weights)
            return block(x, weights, attend, self.config.size, dropout_rate=rate, key=key), None

        x = embed(self.table[...], tokens, self.config.precision)  # b t d
        x = dropout(x, rate, jax.random.fold_in(keys[0], 1))
        remat, scanned = REMAT[self.config.remat], (self.stacked_weights(), keys)
        if half_on_gpu(x.dtype) and not self.gather:
            leaves, structure = jax.tree.flatten(scanned)
            for number, of_layer in enumerate(zip(*map(jnp.unstack, leaves))):
                x, _ = remat(partial(layer, number=number))(x, jax.tree.unflatten(structure, of_layer))
        else:
            x, _ = jax.lax.scan(remat(layer), x, scanned)
        return rms_norm(x)

    def init_cache(self, batch: int) -> Cache:
        """An empty cache of keys and values, with room for `context` tokens a text, and how many each text has."""
        size = self.config.size
        shape = (size.layers, batch, size.kv_heads, self.config.context, size.head_width)  # n b g s e
        empty = jnp.zeros(shape, self.config.precision)
        return {"length": jnp.zeros(batch, jnp.int32), "keys": empty, "values": empty}

    def decode(self, kv_cache: Cache, tokens: Int[Array, "b t"]) -> tuple[Float[Array, "b t v"], Cache]:
        """The logits after each of these tokens, which follow those in the cache, and the cache with them added.

        Each text has its own place in the cache, so texts of different lengths share a step.
        """
        (b, t), n = tokens.shape, self.config.size.layers
        rows, heads = jnp.arange(b)[:, None, None], jnp.arange(self.config.size.kv_heads)[None, :, None]
        positions = kv_cache["length"][:, None] + jnp.arange(t)[None]  # b t
        angles = rotary_angles(positions, self.config.size.head_width)
        visible = jnp.arange(self.config.context)[None, None] <= positions[:, :, None]  # b t s

        def layer(carry: tuple[Array, Array, Array], scanned: tuple[Weights, Array]) -> tuple[Any, None]:
            (x, *cached), (weights, i) = carry, scanned

            def attend(q: Array, k: Array, v: Array) -> Array:
                """Among the cached keys, to which it adds its own."""
                for j, new in enumerate((apply_rotary(k, angles), v)):
                    new = new.astype(cached[j].dtype).transpose(0, 2, 1, 3)  # b g t e
                    place = (i, rows, heads, positions[:, None])
                    cached[j] = cached[j].at[place].set(new, mode="drop", unique_indices=True)
                keys, values = (one[i] for one in cached)
                return cached_attention(apply_rotary(q, angles), keys, values, visible)

            x = block(x, weights, attend, self.config.size)
            return (x, *cached), None

        x = embed(self.table[...], tokens, self.config.precision)  # b t d
        # The caches are carried, so that a layer writes its tokens in place; unrolled, it reads its weights in place.
        carry, scanned = (x, kv_cache["keys"], kv_cache["values"]), (self.stacked_weights(), jnp.arange(n))
        (x, keys, values), _ = jax.lax.scan(layer, carry, scanned, unroll=min(n, UNROLLED))
        new_cache = {"length": kv_cache["length"] + t, "keys": keys, "values": values}
        return unembed(self.table[...], rms_norm(x)), new_cache

    def stacked_weights(self) -> Weights:
        return {name: getattr(self, name)[...] for name in ("qkv", "out", "up", "down")}


def keeps_products(primitive: Any, *arrays: Any, **settings: Any) -> bool:
    """A policy of jax.checkpoint: what matrix products with weights give is kept, and cuDNN's attention."""
    is_product = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return primitive.name.startswith("dot_product_attention") or is_product(primitive, *arrays, **settings)


REMAT: dict[str, Callable[[Any], Any]] = {
    "none": lambda layer: layer,
    "dots": partial(jax.checkpoint, policy=keeps_products),
    "full": jax.checkpoint,
}


def block(
    x: Float[Array, "b t d"],
    weights: Weights,
    attend: Attend,
    size: GPTSize,
    *,
    dropout_rate: float = 0.0,
    key: Array | None = None,
) -> Float[Array, "b t d"]:
    """x + attention(norm(x)), then x + mlp(norm(x)). `attend` adds the positions."""
    b, t, d = x.shape
    g, e, queries = size.kv_heads, size.head_width, size.heads // size.kv_heads
    qkv, out, up, down = (weights[name].astype(x.dtype) for name in ("qkv", "out", "up", "down"))
    q, k, v = jnp.split(matmul(rms_norm(x), qkv).reshape(b, t, g, queries + 2, e), [queries, queries + 1], axis=3)
    y = attend(q.reshape(b, t, g * queries, e), *(z.reshape(b, t, g, e) for z in (k, v)))  # b t h e
    x = x + dropout(matmul(y.reshape(b, t, d), out), dropout_rate, key)
    # Two products: with one for both, the gradient would copy the weights, and its own result, transposed.
    gate, y = (matmul(rms_norm(x), matrix) for matrix in jnp.unstack(up, axis=1))  # b t f
    y = matmul(jax.nn.silu(gate) * y, down)  # b t d
    return x + dropout(y, dropout_rate, None if key is None else jax.random.fold_in(key, 1))


def dropout(x: Float[Array, "b t d"], rate: float, key: Array | None) -> Float[Array, "b t d"]:
    """Srivastava et al. 2014. As a function of a key, which `lax.scan` can hand to each layer."""
    if not rate or key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0).astype(x.dtype)


def init_matrix(
    rngs: nnx.Rngs, layers: int, inputs: int, *outputs: int, scale: float = 1.0, tensor_axis: int
) -> StackedMatrices:
    """Matrices that preserve the variance of their input, times the square of `scale`."""
    value = scale * inputs**-0.5 * jax.random.normal(rngs.params(), (layers, inputs, *outputs))
    return StackedMatrices(value, tensor_axis=tensor_axis)
