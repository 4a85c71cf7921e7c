"""Typical images, from which the pixels of others are told apart. Axes: n images, s baselines."""

import warnings

import numpy as np
from jaxtyping import UInt8
from scipy.cluster import vq

from pipeline.config import paths
from pipeline.runtime.encoders.specs import ImageSpec

COUNT, FEWEST = 8, 8  # clusters, at most, and the images of each, at least
SAMPLE, NUMBERS = 2_000, 50_000_000  # images that are looked at, and their pixels, at most: 200 MB
STEPS = 10


def load(spec: ImageSpec) -> UInt8[np.ndarray, "s h w c"]:
    """The centres of a few clusters of the training images, made once and kept for the package.

    Each is the mean of many images: so a package shows no image that somebody gave, and a black object is not taken for
    the background, as it is from a black baseline.
    """
    if not paths.BASELINES.exists():
        np.save(paths.BASELINES, centres(_sample(spec)))
    return np.load(paths.BASELINES, allow_pickle=False)


def _sample(spec: ImageSpec) -> UInt8[np.ndarray, "n h w c"]:
    """Some of the training images."""
    images = np.load(paths.features("train") / "images.npy", mmap_mode="r", allow_pickle=False)
    half = spec.margin // 2  # preprocess leaves a margin around them
    images = images[:, half : half + spec.height, half : half + spec.width]
    count = max(1, min(len(images), SAMPLE, NUMBERS // int(np.prod(images.shape[1:]))))
    rows = np.sort(np.random.default_rng(0).permutation(len(images))[:count])
    return np.asarray(images[rows])


def centres(images: UInt8[np.ndarray, "n h w c"], count: int = COUNT) -> UInt8[np.ndarray, "s h w c"]:
    """By k-means, those with FEWEST images or more; where there are none, the mean of all."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    count = min(count, len(flat) // FEWEST, len({row.tobytes() for row in flat}))
    found = flat.mean(0, keepdims=True)
    if count > 1:
        with warnings.catch_warnings():  # of a cluster that became empty: it is left out
            warnings.simplefilter("ignore", UserWarning)
            centroids, number = vq.kmeans2(flat, count, iter=STEPS, minit="++", rng=np.random.default_rng(0))
        kept = centroids[np.bincount(number, minlength=count) >= FEWEST]
        found = kept if len(kept) else found
    return found.reshape(-1, *images.shape[1:]).round().clip(0, 255).astype(np.uint8)
