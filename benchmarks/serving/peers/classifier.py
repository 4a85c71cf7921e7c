"""A package's ONNX model on images, without the package's own code: what the peers serve."""

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


class Classifier:
    def __init__(self, package: str) -> None:
        folder = Path(package)
        self.session = onnxruntime.InferenceSession(folder / "model.onnx")
        self.name = self.session.get_inputs()[0].name
        self.labels = json.loads((folder / "labels.json").read_text())["labels"]

    def decode(self, png: bytes) -> np.ndarray:
        """The pixels, h w 1, of a picture that has the model's size."""
        return np.asarray(Image.open(io.BytesIO(png)))[..., None]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.name: images})[0]

    def answer(self, probabilities: np.ndarray) -> dict[str, object]:
        named = dict(zip(self.labels, probabilities.tolist()))
        return {"label": max(named, key=lambda label: named[label]), "probabilities": named}
