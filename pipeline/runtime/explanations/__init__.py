"""What in an input spoke for an answer, by the package alone."""

METHODS = ("integrated", "smoothgrad", "cam", "occlusion")  # of images, the default one first: see methods.py
