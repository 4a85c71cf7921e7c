"""The words whose wrong tag was the most confident, each in its sentence, as a page. Axes: n words, m borders."""

import numpy as np
from jaxtyping import Float, Int

from pipeline.config import paths
from pipeline.evaluation.explanations import html
from pipeline.examples.batch import Examples
from pipeline.runtime.explanations.page import Explained

MOST = 40  # words


def write(
    test: Examples,
    sentences: list[list[str]],
    sources: np.ndarray,
    labels: tuple[str, ...],
    guesses: Int[np.ndarray, " n"],
    confidence: Float[np.ndarray, " n"],
) -> None:
    """`guesses` are tags by their numbers in `labels`; the `sentences` are those of `test`, read from `sources`."""
    starts, targets = np.asarray(test.starts), np.asarray(test.targets)
    wrong = np.flatnonzero(guesses != targets)
    mistakes: list[Explained] = []
    for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST].tolist():
        sentence = int(np.searchsorted(starts, i, side="right")) - 1
        marked = np.zeros(starts[sentence + 1] - starts[sentence])
        marked[i - starts[sentence]] = 1.0
        answer = f"{labels[guesses[i]]} {confidence[i]:.2f}"
        words = [f"{word} " for word in sentences[sentence]]
        mistakes.append(Explained(answer, f"true: {labels[targets[i]]}", sources[sentence], words, marked))
    page, title = paths.EVALUATION / "mistakes.html", "The most confident mistakes"
    html.write_explained(page, title, mistakes, "Red: the word with the wrong tag.")
