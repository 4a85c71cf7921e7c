"""Images, explained by their pixels. Axes: n variants, p pixels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.evaluation import sources
from pipeline.evaluation.explanations import attribution, baselines, html
from pipeline.evaluation.explanations.explainable import Attribution, Explained, Picture
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.loaders import buckets
from pipeline.runtime.explanations import drawing, methods


class Images:
    tested, steps = 64, 20
    method = "integrated gradients from typical images"
    legend = (
        "Integrated gradients: what sets the image apart from typical ones of the training data. Red pixels speak for "
        "the answer, blue ones against it."
    )

    def __init__(self, predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> None:
        test = buckets.load(paths.features(split), predictor.task.inputs)
        settings = predictor.task.inputs.settings
        assert isinstance(settings, ImagePreprocessing)
        self._predictor, self._tree, self._split, self._spec = predictor, tree, split, settings.spec
        self._images, self.rows = np.asarray(test.inputs["images"]), len(test)
        self._baselines = baselines.load(self._spec)
        self._gradient = attribution.gradient(predictor, tree)

    def seen(self, rows: Sequence[int]) -> UInt8[np.ndarray, "n h w c"]:
        return self._images[list(rows)]

    def likeliest(self, rows: Sequence[int]) -> list[int]:
        return attribution.measure(self._predictor, self._tree, [self.seen(rows)]).likeliest.tolist()

    def attribute(self, rows: Sequence[int], outputs: Sequence[int]) -> list[Attribution]:
        images, of = self.seen(rows), np.array(outputs, np.int32)
        maps, totals, gaps = methods.integrated(self._gradient, images, of, self._baselines)
        return [Attribution(own.ravel(), None, float(sum_), float(gap)) for own, sum_, gap in zip(maps, totals, gaps)]

    def answers(
        self, row: int, output: int, parts: Attribution, kept: Bool[np.ndarray, "n p"]
    ) -> Float[np.ndarray, " n"]:
        """Where a pixel is not kept, the mean of the typical images stands."""
        image, fill = self._images[row], self._baselines.mean(0).round().astype(np.uint8)
        variants = np.where(kept.reshape(-1, *image.shape[:2], 1), image[None], fill[None])
        return attribution.measure(self._predictor, self._tree, [variants], output).answers

    def show(self, rows: Sequence[int], found: Sequence[Attribution]) -> list[Explained]:
        shape, shown = self._images.shape[1:3], []
        read = sources.examples(self._split, rows, ["image", "source"])
        for own, seen, one in zip(read, self.seen(rows), found, strict=True):
            weights = one.weights.reshape(shape)
            picture = drawing.shown(own["image"])
            over = drawing.overlaid(picture, drawing.laid_over(weights, picture.size, self._spec))
            fragment = html.pictures(drawing.as_png(picture), drawing.as_png(over), where(weights))
            shown.append(Explained(own["source"], fragment, Picture(seen, html.over(seen, weights))))
        return shown


def where(weights: Float[np.ndarray, "h w"]) -> str:
    """In words, for those who see no colours: the ninth of the image that speaks most for the answer, and against."""
    rows, columns = np.array_split(np.arange(weights.shape[0]), 3), np.array_split(np.arange(weights.shape[1]), 3)
    sums = np.array([[weights[np.ix_(r, c)].sum() for c in columns] for r in rows])
    names = [f"{row}{column}" for row in ("top ", "middle ", "bottom ") for column in ("left", "centre", "right")]
    said = f"Most for it: {names[int(sums.argmax())].replace('middle centre', 'centre')}"
    if sums.min() < 0:
        said += f"; most against it: {names[int(sums.argmin())].replace('middle centre', 'centre')}"
    return said
