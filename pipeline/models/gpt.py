"""A language model: a transformer that reads from left to right (Radford et al. 2019), built as since Llama (Touvron et
al. 2023, arXiv:2302.13971): RMS normalisation before each part (Zhang and Sennrich 2019, arXiv:1910.07467; without a
gain), rotary positions (Su et al. 2021, arXiv:2104.09864), SwiGLU (Shazeer 2020, arXiv:2002.05202), keys and values
shared by groups of heads (Ainslie et al. 2023, arXiv:2305.13245), one table for reading and for writing tokens.

The layers' weights are stacked and one compiled layer runs over them: 48 layers compile as fast as 12. Axes: b batch,
t time, s places of the memory, n layers, v vocabulary, d width, h heads, g of keys and values, e width of a head.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from pipeline.config.networks import GPTConfig, GPTSize
from pipeline.layers.embedding import lookup
from pipeline.tasks import LanguageModelling

BLOCK = 128  # queries whose attention is computed together
Share = Annotated[float, Field(ge=0, lt=1)]


def build(config: GPTConfig, task: LanguageModelling, *, rngs: nnx.Rngs) -> "GPT":
    return GPT(config, config.size, task.vocabulary, rngs=rngs)


Memory = dict[str, Array]
Weights = dict[str, Float[Array, "..."]]
Attend = Callable[[Array, Array, Array], Array]
Gather = Callable[[Weights], Weights]


class GPT(nnx.Module):
    # Along these axes of the weights several devices can share a layer: groups of heads, inner features.
    partition_axes: ClassVar = {"table": -2, "qkv": -1, "out": -2, "up": -1, "down": -2}
    bounded = True  # the memory has room for `context` tokens

    def __init__(self, config: GPTConfig, size: GPTSize, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.size, self.config = size, config
        self.gather: Gather | None = None  # a layer's whole weights from the shards that devices keep
        n, d, e, own = size.layers, size.width, size.width // size.heads, size.heads // size.groups
        # A matrix keeps the variance of what it is given, and 2 n sums into the stream add up to about as much again:
        # depth-scaled as in GPT-2 (Radford et al. 2019, section 2.3).
        self.table = nnx.Param(0.02 * jax.random.normal(rngs.params(), (vocabulary, d)))
        self.qkv = drawn(rngs, n, d, size.groups * (own + 2) * e)  # of each group: its heads' queries, a key, a value
        self.out = drawn(rngs, n, d, d, scale=(2 * n) ** -0.5)
        self.up = drawn(rngs, n, d, 2, size.inner)  # of each inner feature: its gate and its value
        self.down = drawn(rngs, n, size.inner, d, scale=(2 * n) ** -0.5)

    def hidden(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t d"]:
        """What is known after each token: its product with the table is the logits of the next one."""
        angles = rotation(jnp.arange(tokens.shape[1]), self.size)
        share = self.config.dropout if training else 0.0
        keys = jax.random.split(rngs.dropout() if share and rngs else jax.random.key(0), self.size.layers)

        def attend(q: Array, k: Array, v: Array) -> Array:
            return attention(rotated(q, angles), rotated(k, angles), v)

        def layer(x: Array, at: tuple[Weights, Array]) -> tuple[Array, None]:
            weights, key = at
            whole = self.gather(weights) if self.gather else weights
            return block(x, whole, attend, self.size, share, key), None

        x = dropped(self.read(tokens), share, jax.random.fold_in(keys[0], 1))
        x, _ = jax.lax.scan(REMAT[self.config.remat](layer), x, (self.weights(), keys))
        return normalised(x)

    def __call__(
        self, tokens: Int[Array, "b t"], *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b t v"]:
        return written(self.hidden(tokens, training=training, rngs=rngs), self.table[...])

    def start(self, b: int) -> Memory:
        """The memory before the first token: the keys and values of `context` places, and how many are in use."""
        shape = (self.size.layers, b, self.config.context, self.size.groups, self.size.width // self.size.heads)
        empty = jnp.zeros(shape, self.config.precision)
        return {"at": jnp.zeros((), jnp.int32), "keys": empty, "values": empty}

    def extend(self, memory: Memory, tokens: Int[Array, "b t"]) -> tuple[Float[Array, "b t v"], Memory]:
        """Reads on: the logits after each token, and the memory with these tokens in it. It has room for `context`."""
        t = tokens.shape[1]
        at, places = memory["at"], jnp.arange(self.config.context)
        own = at + jnp.arange(t)
        angles = rotation(own, self.size)
        seen = (places[None] <= own[:, None])[None, None]  # 1 1 t s

        def layer(x: Array, stacked: tuple[Weights, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            weights, keys, values = stacked
            kept: list[Array] = []

            def attend(q: Array, k: Array, v: Array) -> Array:
                for old, new in ((keys, rotated(k, angles)), (values, v)):
                    kept.append(jax.lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), at, axis=1))
                return jax.nn.dot_product_attention(rotated(q, angles), *kept, mask=seen)

            x = block(x, weights, attend, self.size, 0.0, None)
            return x, (kept[0], kept[1])

        x, (keys, values) = jax.lax.scan(layer, self.read(tokens), (self.weights(), memory["keys"], memory["values"]))
        return written(normalised(x), self.table[...]), {"at": at + t, "keys": keys, "values": values}

    def read(self, tokens: Int[Array, "b t"]) -> Float[Array, "b t d"]:
        return lookup(self.table[...], tokens, self.config.precision)

    def weights(self) -> Weights:
        return {name: getattr(self, name)[...] for name in ("qkv", "out", "up", "down")}


REMAT: dict[str, Callable[[Any], Any]] = {
    "none": lambda layer: layer,
    "dots": lambda layer: jax.checkpoint(layer, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
    "full": jax.checkpoint,
}


def drawn(rngs: nnx.Rngs, n: int, rows: int, *columns: int, scale: float = 1.0) -> nnx.Param[Any]:
    return nnx.Param(scale * rows**-0.5 * jax.random.normal(rngs.params(), (n, rows, *columns)))


def block(
    x: Float[Array, "b t d"], weights: Weights, attend: Attend, size: GPTSize, share: float, key: Array | None
) -> Float[Array, "b t d"]:
    """x + attention(norm(x)), then x + mlp(norm(x))."""
    b, t, d = x.shape
    qkv, out, up, down = (weights[name].astype(x.dtype) for name in ("qkv", "out", "up", "down"))
    g, own, e = size.groups, size.heads // size.groups, d // size.heads
    q, k, v = jnp.split((normalised(x) @ qkv).reshape(b, t, g, own + 2, e), [own, own + 1], axis=3)
    y = attend(q.reshape(b, t, g * own, e), *(z.reshape(b, t, g, e) for z in (k, v)))  # b t h e
    x = x + dropped(y.reshape(b, t, d) @ out, share, key)
    gate, y = jnp.unstack(jnp.einsum("btd,dzf->btzf", normalised(x), up), axis=2)
    return x + dropped((jax.nn.silu(gate) * y) @ down, share, None if key is None else jax.random.fold_in(key, 1))


def attention(
    q: Float[Array, "b t h e"], k: Float[Array, "b t g e"], v: Float[Array, "b t g e"]
) -> Float[Array, "b t h e"]:
    """Each token's mean of the values up to its own, by how well its query fits their keys.

    On a GPU, in half precision, by a kernel that holds no t x t; else by blocks of queries, none of which computes what
    lies wholly ahead of it.
    """
    if q.dtype == jnp.bfloat16 and jax.default_backend() == "gpu":
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    (b, t, h, e), g = q.shape, k.shape[2]
    q = q.reshape(b, t, g, h // g, e).transpose(0, 2, 3, 1, 4) * e**-0.5  # b g h/g t e
    k, v = (x.transpose(0, 2, 1, 3) for x in (k, v))  # b g t e
    parts = []
    for start in range(0, t, BLOCK):
        end = min(start + BLOCK, t)
        scores = jnp.einsum("bgrqe,bgke->bgrqk", q[:, :, :, start:end], k[:, :, :end]).astype(jnp.float32)
        seen = jnp.arange(end)[None] <= jnp.arange(start, end)[:, None]  # q k
        scores = jnp.where(seen[None, None, None], scores, -jnp.inf)
        # A softmax, divided by its sum when the values are added up: a pass over the scores less.
        likely = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
        values = jnp.einsum("bgrqk,bgke->bgrqe", likely.astype(v.dtype), v[:, :, :end])
        parts.append(values / likely.sum(-1, keepdims=True).astype(v.dtype))
    return jnp.concatenate(parts, axis=3).transpose(0, 3, 1, 2, 4).reshape(b, t, h, e)


def rotation(places: Int[Array, " t"], size: GPTSize) -> tuple[Float[Array, "1 t 1 e2"], Float[Array, "1 t 1 e2"]]:
    """Cosine and sine of the angles by which pairs of features are turned at each place."""
    half = size.width // size.heads // 2
    speeds = 10_000.0 ** (-jnp.arange(half) / half)  # e/2
    angles = (places[:, None] * speeds[None])[None, :, None]  # 1 t 1 e/2
    return jnp.cos(angles), jnp.sin(angles)


def rotated(x: Float[Array, "b t h e"], angles: tuple[Array, Array]) -> Float[Array, "b t h e"]:
    """Products of two such depend on how far apart they stand alone."""
    cos, sin = (a.astype(x.dtype) for a in angles)
    left, right = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([left * cos - right * sin, left * sin + right * cos], axis=-1)


def normalised(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """To a mean square of one."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(square + 1e-6).astype(x.dtype)


def dropped(x: Float[Array, "b t d"], share: float, key: Array | None) -> Float[Array, "b t d"]:
    """Dropout (Srivastava et al. 2014)."""
    if not share or key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0).astype(x.dtype)


def written(x: Float[Array, "b t d"], table: Float[Array, "v d"]) -> Float[Array, "b t v"]:
    """The logits of the next token."""
    return jnp.einsum("btd,vd->btv", x, table.astype(x.dtype), preferred_element_type=jnp.float32)
