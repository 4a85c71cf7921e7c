"""How much each pixel of an image adds to a score: four methods, batched, for any network.

`integrated` gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), averaged over several baselines as expected
gradients are (Erion et al. 2021, arXiv:1906.10670); `smoothgrad`, times the image (Smilkov et al. 2017,
arXiv:1706.03825); `cam`, a class-activation map that is exact where one linear layer follows the last convolution
(HiResCAM, Draelos and Carin 2020, arXiv:2011.08891); `occlusion` (Zeiler and Fergus 2014, arXiv:1311.2901), which needs
no gradient. The first two are smoothed to the scale of a stroke: single pixels of a gradient are noise.

Axes: n images, s baselines, b images that a function takes at once, h height, w width, c channels, i and j of the last
feature map, k outputs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from ..errors import UserError

BATCH = 32  # images that the gradient function takes at once
POINTS = 128  # at which the gradient is taken between an image and its baselines, together
SAMPLES, NOISE = 32, 0.15 * 255  # noisy images of SmoothGrad, and the standard deviation of the noise
CELLS = 28  # the map's resolution: strokes of the longer side's 28th part are what it shows
COVER, STRIDE = 5, 2  # cells that are covered at once by occlusion, and from one place to the next

Images: TypeAlias = Float[np.ndarray, "n h w c"]
Maps: TypeAlias = Float[np.ndarray, "n h w"]


class Slopes(NamedTuple):
    """Of one output's score for each of several images."""

    scores: Float[np.ndarray, " b"]
    pixels: Float[np.ndarray, "b h w c"]  # the score's gradient
    activations: Float[np.ndarray, "b i j"]  # of the last feature map: times its gradient, summed over features


Gradient: TypeAlias = Callable[[Images, Int[np.ndarray, " n"]], Slopes]  # of any number of images
Scores: TypeAlias = Callable[[UInt8[np.ndarray, "b h w c"]], Float[np.ndarray, "b k"]]


def integrated(
    gradient: Gradient,
    images: UInt8[np.ndarray, "n h w c"],
    outputs: Int[np.ndarray, " n"],
    baselines: UInt8[np.ndarray, "s h w c"],
) -> tuple[Maps, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The maps; what each should add up to: the score beyond the baselines' mean score; and how far it is off."""
    x, bases = images.astype(np.float32), baselines.astype(np.float32)
    steps = max(1, POINTS // len(bases))
    total = np.zeros(x.shape, np.float64)
    for one, point in _in_batches(len(x), len(bases) * steps):
        base = bases[point // steps]
        alpha = ((point % steps + 0.5) / steps).astype(np.float32)[:, None, None, None]
        slopes = gradient(base + (x[one] - base) * alpha, outputs[one])
        np.add.at(total, one, (x[one] - base) * slopes.pixels / (len(bases) * steps))
    before = np.zeros(len(x))
    for one, number in _in_batches(len(x), len(bases)):
        np.add.at(before, one, gradient(bases[number], outputs[one]).scores / len(bases))
    wanted = gradient(x, outputs).scores - before
    return smoothed(total.sum(-1)), wanted, np.abs(total.sum((1, 2, 3)) - wanted)


def smoothgrad(
    gradient: Gradient,
    images: UInt8[np.ndarray, "n h w c"],
    outputs: Int[np.ndarray, " n"],
    baselines: UInt8[np.ndarray, "s h w c"],
) -> Maps:
    """The mean gradient of noisy copies, times what sets the image apart from the baselines' mean."""
    x, total = images.astype(np.float32), np.zeros(images.shape, np.float64)
    noise = np.random.default_rng(0).normal(0, NOISE, (SAMPLES, *x.shape[1:])).astype(np.float32)
    for one, sample in _in_batches(len(x), SAMPLES):
        np.add.at(total, one, gradient(x[one] + noise[sample], outputs[one]).pixels / SAMPLES)
    return smoothed((total * (x - baselines.mean(0)[None])).sum(-1))


def cam(gradient: Gradient, images: UInt8[np.ndarray, "n h w c"], outputs: Int[np.ndarray, " n"]) -> Maps:
    """Each place of the last feature map, enlarged to the image's size. Raises UserError where there is none."""
    activations = gradient(images.astype(np.float32), outputs).activations
    if not activations.size:
        raise UserError("--method cam: the network has no feature map: leave the option out")
    return enlarged(activations, images.shape[1:3])


def occlusion(
    scores: Scores,
    images: UInt8[np.ndarray, "n h w c"],
    outputs: Int[np.ndarray, " n"],
    baselines: UInt8[np.ndarray, "s h w c"],
) -> Maps:
    """What the score loses where a square shows the baselines' mean: each pixel, the mean of all squares over it."""
    height, width = images.shape[1:3]
    cell, fill = max(height, width) / CELLS, baselines.mean(0).round().astype(np.uint8)
    side, stride = max(1, round(COVER * cell)), max(1, round(STRIDE * cell))
    squares = [
        np.s_[max(top, 0) : top + side, max(left, 0) : left + side]
        for top in range(stride - side, height, stride)
        for left in range(stride - side, width, stride)
    ]
    maps, covered = np.zeros(images.shape[:3]), np.zeros((height, width))
    for square in squares:
        covered[square] += 1
    for image, output, found in zip(images, outputs, maps):
        whole = scores(image[None])[0, output]
        for start in range(0, len(squares), BATCH):
            some = squares[start : start + BATCH]
            variants = np.repeat(image[None], len(some), axis=0)
            for variant, square in zip(variants, some):
                variant[square] = fill[square]
            for score, square in zip(scores(variants)[:, output], some):
                found[square] += whole - score
    return maps / covered[None]


def padded(call: Callable[..., Any]) -> Gradient:
    """A function of exactly BATCH images as one of any number."""

    def gradient(images: Images, outputs: Any) -> Slopes:
        found = []
        for start in range(0, len(images), BATCH):
            some, of = images[start : start + BATCH], outputs[start : start + BATCH]
            missing = BATCH - len(some)
            some = np.concatenate([some, np.zeros((missing, *some.shape[1:]), np.float32)]).astype(np.float32)
            of = np.concatenate([of, np.zeros(missing, np.int32)]).astype(np.int32)
            found.append([np.asarray(one)[: BATCH - missing] for one in call(some, of)])
        return Slopes(*map(np.concatenate, zip(*found)))

    return gradient


def smoothed(maps: Maps) -> Maps:
    """By a Gaussian whose standard deviation is a cell; what a map adds up to stays."""
    sigma = max(maps.shape[1:]) / CELLS
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        edges = [(reach, reach) if axis == own else (0, 0) for own in range(3)]
        wide = np.pad(maps, edges, mode="symmetric")
        size = maps.shape[axis]
        maps = sum(  # type: ignore[assignment]
            weight * wide.take(np.arange(shift, shift + size), axis) for shift, weight in enumerate(kernel)
        )
    return maps


def enlarged(maps: Float[np.ndarray, "n i j"], size: tuple[int, int]) -> Maps:
    """Maps at another height and width."""
    height, width = size
    resized = [
        Image.fromarray(one.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC) for one in maps
    ]
    return np.stack([np.asarray(one, np.float64) for one in resized])


def _in_batches(images: int, points: int) -> list[tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]]:
    """Each image with each of its points, as many as the gradient function takes at once."""
    number = np.arange(images * points)
    return [
        (some // points, some % points)
        for some in (number[start : start + BATCH] for start in range(0, len(number), BATCH))
    ]
