"""Image files in memory, and what is to become of them."""

import io

from PIL import Image

from pipeline.runtime.encoders.specs import ImageSpec

GREY = ImageSpec(height=28, width=28, colour="grey", resize="exact", margin=0, background="black")
RGB = ImageSpec(height=20, width=30, colour="rgb", resize="exact", margin=0, background="black")


def file(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
