"""Dense layers whose gradients are fast on a CPU: XLA does not have to transpose a large array."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

FEW = 16  # outputs, of which as many fill a vector register


def matmul(x: Float[Array, "*b d"], kernel: Float[Array, "d k"]) -> Float[Array, "*b k"]:
    """x @ kernel, as a product of two matrices: with more axes, XLA would first copy the gradient, transposed. With few
    outputs, for reverse-mode differentiation only.
    """
    rows = x.reshape(-1, x.shape[-1])
    product = _few_outputs(rows, kernel) if kernel.shape[1] < FEW else rows @ kernel
    return product.reshape(*x.shape[:-1], kernel.shape[1])


@jax.custom_vjp
def _few_outputs(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    # `x.T @ g` transposes all of x, and takes twice as long as `(g.T @ x).T`. XLA rewrites the second as the first
    # unless something stands between them: rows of zeros, which are cut off again.
    k = g.shape[1]
    return g @ kernel.T, (jnp.pad(g, ((0, 0), (0, FEW - k))).T @ x)[:k].T


_few_outputs.defvjp(_forward, _backward)


class Dense(nnx.Linear):
    """The library's layer, by `matmul`."""

    def __call__(self, inputs: Float[Array, "*b d"], out_sharding: None = None) -> Float[Array, "*b k"]:
        y = matmul(inputs, self.kernel[...])
        return y if self.bias is None else y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))
