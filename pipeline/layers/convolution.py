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

CHUNK_BYTES = 512 * 1024  # of images, which stay in a core's cache from one tap of a kernel to the next
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

    The convolution of transposed arrays, which autodiff makes of it, is up to 10 times slower for large images, even
    outside a loop, and about 1.3 times faster for small images of many channels.
    """
    b, rows, columns, _ = g.shape
    per_image = max(x.nbytes, g.nbytes) // b
    size = max(n for n in range(1, b + 1) if b % n == 0 and (n == 1 or n * per_image <= CHUNK_BYTES))
    wide = jnp.promote_types(x.dtype, jnp.float32)  # a bfloat16 sum of many chunks would lose the small ones

    def add(total: Array, images: tuple[Array, Array]) -> tuple[Array, None]:
        x, g = images  # n h w c, n rows columns f
        taps = []
        for i, j in np.ndindex(kernel.shape[:2]):
            pixels = x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
            # As matrices: contracted over three axes, the same product takes twice as long.
            pixels, out = pixels.reshape(-1, x.shape[3]), g.reshape(-1, g.shape[3])
            taps.append(jnp.matmul(pixels.T, out, preferred_element_type=wide))  # c f
        return total + jnp.stack(taps).reshape(kernel.shape), None

    chunks = x.reshape(-1, size, *x.shape[1:]), g.reshape(-1, size, *g.shape[1:])
    total, _ = lax.scan(add, jnp.zeros(kernel.shape, wide), chunks)
    return total.astype(kernel.dtype)


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

    The four convolutions of a pooling window run side by side: of their results only the index of the largest is
    stored. When it is not differentiated, and on a GPU, it is the plain sequence, which is then faster. Of equal maxima
    the first gets the gradient; where relu is flat it is 0. Reverse-mode differentiation only.

    Raises ValueError if there is more than one input channel, or the image has no full window.
    """
    if x.shape[3] != 1 or kernel.shape[2] != 1:
        raise ValueError(f"one input channel is fused, not {x.shape[3]}")
    if x.shape[1] <= kernel.shape[0] or x.shape[2] <= kernel.shape[1]:
        raise ValueError(f"a kernel of {kernel.shape[:2]} and a pool of 2 do not fit in {x.shape[1:3]}")
    if jax.default_backend() != "cpu":
        return _plain(x, kernel, bias)
    return _fused(x, kernel, bias)


def _plain(x: Array, kernel: Array, bias: Array) -> Array:
    # Relu and the bias after the pooling give the same numbers, on a quarter of the values.
    return jax.nn.relu(max_pool(conv(x, kernel, padding="VALID"), 2) + bias.reshape(1, 1, 1, -1))


_fused = jax.custom_vjp(_plain)


def _pixels(x: Array, kernel: Array) -> dict[tuple[int, int], Array]:
    """The pixels that the kernel covers in a pooling window, by their position in it: each `b rows columns 1`."""
    i, j = kernel.shape[:2]
    rows, columns = ((n - k + 1) // 2 for n, k in zip(x.shape[1:3], (i, j)))
    return {(r, c): x[:, r : r + 2 * rows - 1 : 2, c : c + 2 * columns - 1 : 2] for r, c in np.ndindex(i + 1, j + 1)}


def _fused_forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    def fused(x: Array) -> tuple[Array, Array]:
        pixels = _pixels(x, kernel)
        taps = list(np.ndindex(kernel.shape[:2]))
        z = [reduce(jnp.add, [pixels[r + i, c + j] * kernel[i : i + 1, j : j + 1] for i, j in taps]) for r, c in WINDOW]
        top, bottom = jnp.maximum(z[0], z[1]), jnp.maximum(z[2], z[3])  # b rows columns f
        out = jax.nn.relu(jnp.maximum(top, bottom) + bias.reshape(1, 1, 1, -1))
        won = jnp.where(top >= bottom, jnp.where(z[0] >= z[1], 0, 1), jnp.where(z[2] >= z[3], 2, 3))
        return out, jnp.where(out > 0, won, 4).astype(jnp.int8)  # 4: none, relu is flat

    # XLA does not compute the results of a loop again in the backward pass. Without a loop it does, and that makes it 2
    # to 6 times slower.
    chunks = next(n for n in (4, 2, 3, 5, 1) if x.shape[0] % n == 0)
    out, won = lax.map(fused, x.reshape(chunks, -1, *x.shape[1:]))
    out, won = (a.reshape(-1, *a.shape[2:]) for a in (out, won))
    return out, (x, kernel, won)


def _fused_backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
    x, kernel, won = saved
    i, j, _, f = kernel.shape
    positions = jnp.arange(4, dtype=jnp.int8).reshape(1, 1, 1, 4, 1)
    routed = jnp.where(won[..., None, :] == positions, g[..., None, :], 0)  # b rows columns 4 f

    # One matrix product: a row for each of a window's pixels, and a row of ones for the bias.
    pixels = jnp.stack(list(_pixels(x, kernel).values())).reshape((i + 1) * (j + 1), -1)
    pixels = jnp.concatenate([pixels, jnp.ones((1, pixels.shape[1]), x.dtype)])
    sums = pixels @ routed.reshape(-1, 4 * f)
    by_pixel = sums[:-1].reshape(i + 1, j + 1, 4, f)
    dkernel = reduce(jnp.add, [by_pixel[r : r + i, c : c + j, q] for q, (r, c) in enumerate(WINDOW)])
    dbias = sums[-1].reshape(4, f).sum(axis=0)

    # The compiler drops this where it is not needed, as in training, where x is data.
    dz = _join([routed[..., q, :] for q in range(4)], 2, x.shape[1] - i + 1, x.shape[2] - j + 1)
    dx = convolve(dz, kernel[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), [(i - 1, i - 1), (j - 1, j - 1)])
    return dx, dkernel[:, :, None], dbias


_fused.defvjp(_fused_forward, _fused_backward)
