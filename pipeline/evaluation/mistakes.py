"""The most confident mistakes, shown: images as a picture, texts and sentences as a page."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from pipeline.config import paths
from pipeline.evaluation import attribution, html, plots
from pipeline.evaluation.html import Mistake
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.runtime.encoders import text_tokenizer
from pipeline.tasks import Examples, SequenceTagging

IMAGES = 18  # in the picture
TEXTS = 8  # on the page
WORDS = 40  # on the page, each with its sentence
LEGEND = (
    "The predicted label's logit is computed again without each part of the text: red parts raise it, blue ones lower "
    "it. The page shows the model's whole input, which max_length may have cut. In a text of more than "
    f"{attribution.EVALUATIONS} tokens, a part is several tokens."
)


@dataclass(frozen=True)
class Predictions:
    """A test split and what the model says of it."""

    test: Examples
    probabilities: Float[np.ndarray, "n k"]
    labels: tuple[str, ...]  # by the numbers of the targets

    @cached_property
    def targets(self) -> Int[np.ndarray, " n"]:
        return np.asarray(self.test.targets)

    @cached_property
    def guesses(self) -> Int[np.ndarray, " n"]:
        return self.probabilities.argmax(-1)

    def mistakes(self, most: int) -> list[int]:
        """Which targets are predicted wrongly, the most confident prediction first."""
        wrong = np.flatnonzero(self.guesses != self.targets)
        return wrong[np.argsort(-self.probabilities[wrong].max(-1), kind="stable")][:most].tolist()

    def described(self, i: int) -> tuple[str, float, str]:
        """The label predicted for target `i`, its probability, and the true label."""
        return self.labels[self.guesses[i]], float(self.probabilities[i].max()), self.labels[self.targets[i]]


def write_images(predictor: Predictor, tree: Tree, predictions: Predictions) -> None:
    """Each image with the pixels that led the model to its prediction; nothing where there is no mistake."""
    shown = predictions.mistakes(IMAGES)
    if not shown:
        return
    images = np.asarray(predictions.test.inputs["images"][shown])
    pixels, errors = attribution.integrated_gradients(
        predictor, tree["params"], tree["model_state"], images, predictions.guesses[shown]
    )
    described = map(predictions.described, shown)
    titles = [f"{label} {probability:.2f}\n(true: {true})" for label, probability, true in described]
    note = (
        "integrated gradients from a black image: red pixels raise the predicted label's logit, blue ones lower it; "
        f"their sum equals the difference between the two logits up to {float(np.max(errors)):.2g}"
    )
    plots.save(plots.explained(images, np.asarray(pixels), titles, note), paths.IMAGES / "mistakes.png")


def write_texts(predictor: Predictor, tree: Tree, predictions: Predictions) -> None:
    """Each text with what its parts add to the prediction."""
    shown, starts = predictions.mistakes(TEXTS), np.asarray(predictions.test.starts)
    texts = [np.asarray(predictions.test.inputs["tokens"][starts[i] : starts[i + 1]]) for i in shown]
    guesses = [int(predictions.guesses[i]) for i in shown]
    occlusions = attribution.occlusion(predictor, tree["params"], tree["model_state"], texts, guesses)
    tokenizer = text_tokenizer.load(paths.TOKENIZER)
    mistakes: list[Mistake] = []
    for i, tokens, (borders, drops) in zip(shown, texts, occlusions):
        pieces = text_tokenizer.pieces(tokenizer, tokens.tolist())
        parts = ["".join(pieces[start:end]) for start, end in zip(borders, borders[1:])]
        mistakes.append(Mistake(*predictions.described(i), parts, drops))
    html.write_mistakes(paths.EVALUATION / "mistakes.html", mistakes, LEGEND)


def write_words(task: SequenceTagging, predictions: Predictions) -> None:
    """Each word in its sentence."""
    starts, sentences = np.asarray(predictions.test.starts), _sentences(task.words.max_length)
    mistakes: list[Mistake] = []
    for i in predictions.mistakes(WORDS):
        sentence = int(np.searchsorted(starts, i, side="right")) - 1
        marked = np.zeros(starts[sentence + 1] - starts[sentence])
        marked[i - starts[sentence]] = 1.0
        words = [f"{word} " for word in sentences[sentence]]
        mistakes.append(Mistake(*predictions.described(i), words, marked))
    html.write_mistakes(paths.EVALUATION / "mistakes.html", mistakes, "Red: the word with the wrong tag.")


def _sentences(longest: int) -> list[list[str]]:
    """The sentences of the test split as preprocess cut them."""
    rows = pq.read_table(paths.prepared("test"), columns=["words"])["words"].to_pylist()
    return [row[start : start + longest] for row in rows for start in range(0, len(row), longest)]
