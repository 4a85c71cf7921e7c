"""Convolutions and pooling that train fast on a CPU inside a loop; on other backends the convolutions are JAX's own.

Axes: b batch, h height, w width, c channels, f filters, i and j height and width of a kernel or a pooling window.
"""

from functools import partial, reduce
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Padding = Literal["SAME", "VALID"]
Pads = tuple[tuple[int, int], tuple[int, int]]  # rows and columns of zeros: before, after

CHUNK_BYTES = 2 << 20  # of images, which stay in a core's cache from one tap of a kernel to the next
WINDOW = [(0, 0), (0, 1), (1, 0), (1, 1)]  # the four positions in a 2 x 2 pooling window

convolve = partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def conv(
    x: Float[Array, "b h w c"], kernel: Float[Array, "i j c f"], *, stride: int = 1, padding: Padding = "SAME"
) -> Float[Array, "b _ _ f"]:
    """Convolves `x` with `kernel` as `lax.conv_general_dilated` does, with a gradient that is fast in a loop.

    On a CPU, autodiff's gradient of a convolution is many times slower inside `lax.scan` than outside, because its
    layout is not NHWC/HWIO (jax-ml/jax#12868). Here the gradient for `x` has that layout, and the same bits; the one
    for `kernel` is a sum of matrix products, equal up to rounding. On a CPU this is for reverse-mode differentiation
    only.

    Raises ValueError if `padding` is "VALID" and the kernel is larger than the image.
    """
    if padding == "VALID" and (x.shape[1] < kernel.shape[0] or x.shape[2] < kernel.shape[1]):
        raise ValueError(f"a kernel of {kernel.shape[:2]} does not fit an image of {x.shape[1:3]}")
    if jax.default_backend() != "cpu":
        return convolve(x, kernel, (stride, stride), padding)
    rows, columns = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
    return _conv(x, kernel, stride, (rows, columns))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    return convolve(x, kernel, (stride, stride), pads)


def _conv_forward(x: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _conv(x, kernel, stride, pads), (x, kernel)


def _conv_backward(stride: int, pads: Pads, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], g.shape[1:3], pads))  # of rows, of columns
    back = [(k - 1 - lo, n - 1 - (o - 1) * stride + lo) for n, k, o, (lo, _) in sizes]
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)  # i j f c
    dx = convolve(g, flipped, (1, 1), back, lhs_dilation=(stride, stride))
    # Where the last windows end before the image does, the padding after it is negative: a crop.
    ends = [(lo, (o - 1) * stride + k - n - lo, 0) for n, k, o, (lo, _) in sizes]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *ends, (0, 0, 0)])
    return dx, _kernel_gradient(x, g, kernel, stride)


_conv.defvjp(_conv_forward, _conv_backward)


def _kernel_gradient(x: Array, g: Array, kernel: Array, stride: int) -> Array:
    """One matrix product for each tap of the kernel, over so few images at a time that they stay in the cache.

    The convolution of transposed arrays, which autodiff makes of it, is 1.1 to 10 times slower, even outside a loop.
    """
    b, rows, columns, _ = g.shape
    per_image = max(x.nbytes, g.nbytes) // b
    size = max(n for n in range(1, b + 1) if b % n == 0 and (n == 1 or n * per_image <= CHUNK_BYTES))
    wide = jnp.promote_types(x.dtype, jnp.float32)  # a bfloat16 sum of many chunks would lose the small ones

    def add(total: Array, images: tuple[Array, Array]) -> tuple[Array, None]:
        x, g = images  # n h w c, n rows columns f
        # As matrices: contracted over three axes, the same product takes twice as long. The left side is transposed:
        # `g` once, where `x` would be for each tap.
        g = g.reshape(-1, g.shape[3]).T
        taps = []
        for i, j in np.ndindex(kernel.shape[:2]):
            pixels = x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
            taps.append(jnp.matmul(g, pixels.reshape(-1, x.shape[3]), preferred_element_type=wide))  # f c
        return total + jnp.stack(taps), None

    chunks = x.reshape(-1, size, *x.shape[1:]), g.reshape(-1, size, *g.shape[1:])
    i, j, c, f = kernel.shape
    total, _ = lax.scan(add, jnp.zeros((i * j, f, c), wide), chunks)
    return total.transpose(0, 2, 1).reshape(kernel.shape).astype(kernel.dtype)


def max_pool(x: Float[Array, "b h w c"], window: int) -> Float[Array, "b _ _ c"]:
    """The maximum of each `window` x `window` square; rows and columns that do not fill a square are dropped.

    Of equal maxima the first, row by row, gets the whole gradient, as in `nnx.max_pool`; but without
    select-and-scatter, which is slow on a CPU and not deterministic on a GPU. Reverse-mode differentiation only.
    """
    return _max_pool(x, window)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: Array, window: int) -> Array:
    return reduce(jnp.maximum, _positions(x, window))


def _positions(x: Array, window: int) -> list[Array]:
    """For each position in a window, its pixels in all windows: each `b rows columns c`."""
    rows, columns = (n // window * window for n in x.shape[1:3])
    return [x[:, i:rows:window, j:columns:window] for i, j in np.ndindex(window, window)]


def _join(positions: list[Array], window: int, height: int, width: int) -> Array:
    """Undoes `_positions`, with zeros in the rows and columns that it dropped."""
    b, rows, columns, c = positions[0].shape
    x = jnp.stack(positions, axis=3).reshape(b, rows, columns, window, window, c).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(b, rows * window, columns * window, c)
    return jnp.pad(x, ((0, 0), (0, height - rows * window), (0, width - columns * window), (0, 0)))


def _max_pool_forward(x: Array, window: int) -> tuple[Array, tuple[Array, Array]]:
    largest: Array = reduce(jnp.maximum, _positions(x, window))
    return largest, (x, largest)


def _max_pool_backward(window: int, saved: tuple[Array, Array], g: Array) -> tuple[Array]:
    x, largest = saved
    undecided = jnp.ones(largest.shape, bool)
    routed = []
    for pixels in _positions(x, window):
        won = undecided & (pixels == largest)
        undecided &= ~won
        routed.append(jnp.where(won, g, 0))
    return (_join(routed, window, *x.shape[1:3]),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def can_fuse(image_shape: tuple[int, ...], kernel_shape: tuple[int, ...], pool: int) -> bool:
    """Whether `conv_relu_pool` can do images (b, h, w, c), a kernel (i, j, c, f) and this pooling, and is faster."""
    return jax.default_backend() == "cpu" and image_shape[-1] == kernel_shape[2] == 1 and pool == 2


def conv_relu_pool(
    x: Float[Array, "b h w 1"], kernel: Float[Array, "i j 1 f"], bias: Float[Array, " f"]
) -> Float[Array, "b _ _ f"]:
    """A VALID convolution of one channel, a bias, relu and 2 x 2 max pooling, in one pass when differentiated.

    The four convolutions of a pooling window run side by side: of their results only the largest is stored, with its
    position in its lowest two bits, an error of at most 3.6e-7 of it. When it is not differentiated, on a GPU, and in
    other precisions than float32, it is the plain sequence. Of equal maxima the first gets the gradient; where relu is
    flat it is 0. Reverse-mode differentiation only.

    Raises ValueError if there is more than one input channel, or the image has no full window.
    """
    if x.shape[3] != 1 or kernel.shape[2] != 1:
        raise ValueError(f"one input channel is fused, not {x.shape[3]}")
    if x.shape[1] <= kernel.shape[0] or x.shape[2] <= kernel.shape[1]:
        raise ValueError(f"a kernel of {kernel.shape[:2]} and a pool of 2 do not fit in {x.shape[1:3]}")
    if jax.default_backend() != "cpu" or not x.dtype == kernel.dtype == bias.dtype == jnp.float32:
        return _plain(x, kernel, bias)
    return _fused(x, kernel, bias)


def _plain(x: Array, kernel: Array, bias: Array) -> Array:
    # Relu and the bias after the pooling give the same numbers, on a quarter of the values.
    return jax.nn.relu(max_pool(conv(x, kernel, padding="VALID"), 2) + bias.reshape(1, 1, 1, -1))


_fused = jax.custom_vjp(_plain)


def _fused_forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    i, j, _, f = kernel.shape
    rows, columns = _windows(x, kernel)

    def fused() -> Array:
        z = []
        for position, (top, left) in enumerate(WINDOW):
            taps = [
                x[:, top + r : top + r + 2 * rows - 1 : 2, left + c : left + c + 2 * columns - 1 : 2]
                * kernel[r : r + 1, c : c + 1]
                for r, c in np.ndindex(i, j)
            ]
            z.append(_mark(reduce(jnp.add, taps) + bias.reshape(1, 1, 1, -1), position))
        return jax.nn.relu(reduce(jnp.maximum, z))  # b rows columns f

    # XLA would compute all this again wherever the result is needed, and a step would take twice as long: but not what
    # is in a branch. The other branch is right too: a bias of NaN makes every result NaN.
    nothing = partial(jnp.full, (x.shape[0], rows, columns, f), jnp.nan, x.dtype)
    out = lax.cond(jnp.isnan(bias).all(), nothing, fused)
    return out, (x, kernel, out)


def _windows(x: Array, kernel: Array) -> tuple[int, int]:
    """The rows and columns of pooling windows."""
    rows, columns = ((n - k + 1) // 2 for n, k in zip(x.shape[1:3], kernel.shape[:2]))
    return rows, columns


def _mark(z: Array, position: int) -> Array:
    """Writes the position in the window, last first, into the lowest two bits of each number: the largest of a window
    then says where it was, and of equal ones the first is the largest. A second result for the position would be
    computed in a loop of its own, with the whole convolution.
    """
    bits = lax.bitcast_convert_type(z, jnp.uint32)
    return lax.bitcast_convert_type(bits & ~jnp.uint32(3) | jnp.uint32(3 - position), jnp.float32)


def _fused_backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
    x, kernel, out = saved
    i, j, _, f = kernel.shape
    rows, columns = (2 * n for n in _windows(x, kernel))  # of the convolution, as far as it is pooled

    # The gradient of the convolution: each window's goes to the position of its maximum, if relu let that through.
    g = jnp.where(out > 0, g, 0)[:, :, None, :, None]
    position = 3 - (lax.bitcast_convert_type(out, jnp.uint32) & 3)[:, :, None, :, None]
    dz = jnp.where(position == jnp.arange(4, dtype=jnp.uint32).reshape(1, 1, 2, 1, 2, 1), g, 0)
    dz = dz.reshape(-1, rows, columns, f)

    # One matrix product: of each pixel the taps of the kernel, and a one for the bias.
    of_a_column = jnp.concatenate([x[:, r : r + rows] for r in range(i)], axis=3)
    ones = jnp.ones((*dz.shape[:3], 1), x.dtype)
    taps = jnp.concatenate([*(of_a_column[:, :, c : c + columns] for c in range(j)), ones], axis=3)
    sums = taps.reshape(-1, i * j + 1).T @ dz.reshape(-1, f)
    dkernel = sums[:-1].reshape(j, i, 1, f).transpose(1, 0, 2, 3)

    # The compiler drops this where it is not needed, as in training, where x is data.
    ends = [(k - 1, n - size) for k, n, size in zip((i, j), x.shape[1:3], (rows, columns))]
    dx = convolve(dz, kernel[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), ends)
    return dx, dkernel, sums[-1]


_fused.defvjp(_fused_forward, _fused_backward)
