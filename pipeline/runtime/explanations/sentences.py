"""Explanations of tags: which words made a word's tag. Each word in turn is made an unknown one without letters, which
keeps the others in their places; so all tags of a sentence are explained at once. Or by integrated gradients, one tag
at a time. Axes: t words, p parts of the sentence, k tags.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..encoders.word_vocabulary import PADDING, UNKNOWN
from ..inputs import Arrays
from ..predictor import Predictor
from . import scores, words
from .texts import parts
from .words import EVALUATIONS

LEGEND = (
    "For each word, with a line around it, its tag is computed again with each word of the sentence hidden: red words "
    f"speak for the tag, blue ones against it. In a sentence of more than {EVALUATIONS} words, some stand together."
)
INTEGRATED = (
    "Integrated gradients, from vectors of zeros: what each word adds to the tag of the word with a line around it. "
    "Red words speak for the tag, blue ones against it."
)


class Sentences:
    def __init__(self, predictor: Predictor, of: int | None = None, slopes: words.Slopes | None = None) -> None:
        """With `slopes`, by integrated gradients, in place of hiding each word."""
        self._predictor, self._of, self._slopes = predictor, of, slopes
        self.legend = INTEGRATED if slopes else LEGEND

    def facts(
        self, content: Sequence[str], arrays: Arrays, outputs: Float[np.ndarray, "t k"], word: int | None = None
    ) -> list[dict[str, Any]]:
        """Of all words, or of the one with the number `word`, from 0."""
        task, labels = self._predictor.task, list(self._predictor.task.labels)
        answer = task.answer(outputs)
        targets = [labels.index(label) for label in answer["labels"]] if self._of is None else [self._of] * len(content)
        asked = range(len(content)) if word is None else [word]
        starts = words.few_parts(len(content)) if self._slopes is None else list(range(len(content) + 1))
        if self._slopes is None:
            drops = self._drops(arrays, targets)
            found = {i: (drops[i], dict[str, Any]()) for i in asked}
        else:
            found = {i: self._integrated(arrays, i, targets[i], self._slopes) for i in asked}
        texts = [f"{' '.join(content[start:end])} " for start, end in zip(starts, starts[1:])]
        return [
            {
                "of": labels[targets[i]],
                "title": f"{content[i]}: {labels[targets[i]]} {outputs[i, targets[i]]:.4f}",
                "word": i if len(texts) == len(content) else int(np.searchsorted(starts, i, side="right")) - 1,
                **found[i][1],
                "parts": parts(texts, found[i][0]),
            }
            for i in asked
        ]

    def _drops(self, arrays: Arrays, targets: Sequence[int]) -> Float[np.ndarray, "t p"]:
        """By how much the score of each word's tag falls without each part of the sentence."""
        found, own = self._predictor.outputs([arrays, *hidden(arrays)]), np.arange(len(targets))
        whole, *rest = (scores.scores(self._predictor.task, rows)[own, targets] for rows in found)
        return np.stack([whole - one for one in rest], axis=1)

    def _integrated(
        self, arrays: Arrays, word: int, tag: int, slopes: words.Slopes
    ) -> tuple[Float[np.ndarray, " p"], dict[str, Any]]:
        """What each word of the sentence adds to one word's tag, of those that the model reads with it; and how far the
        sum is off.
        """
        longest = self._predictor.inputs.max_tokens or len(arrays[0])
        first = word // longest * longest
        own = [array[first : first + longest] for array in arrays]
        found = words.integrated(own, np.arange(len(own[0]) + 1), tag, slopes, word - first)
        weights = np.zeros(len(arrays[0]))
        weights[first : first + longest] = found.weights
        return weights, {"completeness_error": round(found.gap, 6)}


def hidden(arrays: Arrays) -> list[Arrays]:
    """The sentence with each word in turn, or each few of a long one, made unknown."""
    ids, characters = arrays
    starts, made = words.few_parts(len(ids)), []
    for start, end in zip(starts, starts[1:]):
        less, fewer = ids.copy(), characters.copy()
        less[start:end], fewer[start:end] = UNKNOWN, PADDING
        made.append((less, fewer))
    return made
