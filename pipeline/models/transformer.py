"""A transformer encoder (Vaswani et al. 2017, arXiv:1706.03762) with normalisation before each sublayer (Xiong et al.
2020, arXiv:2002.04745) and rotary positions (Su et al. 2021, arXiv:2104.09864). Axes: h heads, e width of a head.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from pipeline.config.networks import TransformerConfig
from pipeline.examples.batch import PAD, ModelInputs, Words
from pipeline.examples.inputs import Sentences, Texts
from pipeline.layers.attention import apply_rotary, rotary_angles
from pipeline.layers.dense import Dense
from pipeline.layers.token_vectors import TokenVectors
from pipeline.runtime.errors import UserError


def build(config: TransformerConfig, inputs: Texts | Sentences, outputs: int, *, rngs: nnx.Rngs) -> "Transformer":
    """Raises UserError where the heads do not share the width evenly."""
    if config.width % (2 * config.heads):
        raise UserError(
            f"models.transformer.network.width: {config.width} is not a multiple of twice the heads ({config.heads})"
        )
    return Transformer(config, inputs, outputs, rngs=rngs)


class Transformer(nnx.Module):
    def __init__(self, config: TransformerConfig, inputs: Texts | Sentences, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.vectors = TokenVectors(inputs, config.width, token_dropout=config.token_dropout, rngs=rngs)
        self.widen = Dense(self.vectors.width, config.width, rngs=rngs)
        self.blocks = nnx.List(
            Block(config.width, config.heads, dropout=config.dropout, rngs=rngs) for _ in range(config.layers)
        )
        self.norm = nnx.LayerNorm(config.width, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout)
        self.per_token = inputs.per_token
        self.head = Dense(config.width, outputs, rngs=rngs)

    def __call__(
        self, inputs: ModelInputs, *, training: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "b *t k"]:
        tokens = inputs.words if isinstance(inputs, Words) else inputs
        real = tokens != PAD  # b t
        x = self.widen(self.vectors(inputs, training=training, rngs=rngs))  # b t d
        x = self.dropout(x, deterministic=not training, rngs=rngs)
        for block in self.blocks:
            x = block(x, real, training=training, rngs=rngs)
        x = self.norm(x)
        if not self.per_token:
            x = jnp.sum(x, axis=1, where=real[..., None]) / jnp.maximum(real.sum(1, keepdims=True), 1)  # b d
        return self.head(self.dropout(x, deterministic=not training, rngs=rngs))


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, *, dropout: float, rngs: nnx.Rngs) -> None:
        self.heads = heads
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.qkv = Dense(width, 3 * width, use_bias=False, rngs=rngs)
        self.out = Dense(width, width, rngs=rngs)
        self.up, self.down = Dense(width, 4 * width, rngs=rngs), Dense(4 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)

    def __call__(
        self, x: Float[Array, "b t d"], real: Bool[Array, "b t"], *, training: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b t d"]:
        b, t, d = x.shape
        q, k, v = jnp.split(self.qkv(self.norm1(x)), 3, axis=-1)
        q, k, v = (y.reshape(b, t, self.heads, d // self.heads) for y in (q, k, v))  # b t h e
        angles = rotary_angles(jnp.arange(t)[None], d // self.heads)
        y = attention(apply_rotary(q, angles), apply_rotary(k, angles), v, real).reshape(b, t, d)
        x = x + self.dropout(self.out(y), deterministic=not training, rngs=rngs)
        y = self.down(jax.nn.gelu(self.up(self.norm2(x))))
        return x + self.dropout(y, deterministic=not training, rngs=rngs)


def attention(
    q: Float[Array, "b t h e"], k: Float[Array, "b t h e"], v: Float[Array, "b t h e"], real: Bool[Array, "b t"]
) -> Float[Array, "b t h e"]:
    """softmax(q k^T / sqrt(e)) v, in which each token attends to all tokens but padding."""
    scores = jnp.einsum("bqhe,bkhe->bhqk", q, k) / jnp.sqrt(float(q.shape[-1]))  # b h t t
    scores = jnp.where(real[:, None, None], scores, -1e9)  # not -inf: a text without tokens would give NaN
    return jnp.einsum("bhqk,bkhe->bqhe", jax.nn.softmax(scores, axis=-1), v)
