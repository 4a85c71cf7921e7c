"""Colours of an ICC profile -> sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SAME = 3  # of 255: a profile that changes no colour by more is sRGB under another name


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB, which screens assume. One without a profile, or with an unusable one, stays as it is."""
    if not profile:
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    plain = image.convert({"LA": "L", "1": "L", "RGBA": "RGB", "P": "RGB"}.get(image.mode, image.mode))
    change = transform(profile, plain.mode)
    if change is None:
        return image
    changed = ImageCms.applyTransform(plain, change)
    assert changed is not None
    if alpha:
        changed.putalpha(alpha)
    return changed


@lru_cache(16)
def transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns the colours of a profile into sRGB; None where that changes nothing, or the profile is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        change = ImageCms.buildTransform(source, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "RGB":
        levels = np.arange(0, 256, 51, dtype=np.uint8)
        samples = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 6, 3))
        changed = ImageCms.applyTransform(samples, change)
        if np.abs(np.asarray(changed).astype(int) - np.asarray(samples).astype(int)).max() <= SAME:
            return None
    return change
