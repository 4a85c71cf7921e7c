"""Explanations of tags: which words made a word's tag. Each word in turn is made an unknown one without letters, which
keeps the others in their places; so all tags of a sentence are explained at once. Axes: t words, k tags.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..encoders.word_vocabulary import PADDING, UNKNOWN
from ..inputs import Arrays
from ..predictor import Predictor
from . import scores
from .texts import parts
from .words import EVALUATIONS, few_parts

LEGEND = (
    "For each word, with a line around it, its tag is computed again with each word of the sentence hidden: red words "
    f"speak for the tag, blue ones against it. In a sentence of more than {EVALUATIONS} words, some stand together."
)


class Sentences:
    legend = LEGEND

    def __init__(self, predictor: Predictor, of: int | None = None) -> None:
        self._predictor, self._of = predictor, of

    def facts(
        self, content: Sequence[str], arrays: Arrays, outputs: Float[np.ndarray, "t k"], word: int | None = None
    ) -> list[dict[str, Any]]:
        """Of all words, or of the one with the number `word`, from 0."""
        task, labels = self._predictor.task, list(self._predictor.task.labels)
        answer = task.answer(outputs)
        targets = [labels.index(label) for label in answer["labels"]] if self._of is None else [self._of] * len(content)
        variants = hidden(arrays)
        found = self._predictor.outputs([arrays, *variants])
        own = np.arange(len(content))
        whole, *rest = (scores.scores(task, rows)[own, targets] for rows in found)
        drops = np.stack([whole - one for one in rest])  # variants t
        starts = few_parts(len(content))
        texts = [f"{' '.join(content[start:end])} " for start, end in zip(starts, starts[1:])]
        return [
            {
                "of": labels[targets[i]],
                "title": f"{content[i]}: {labels[targets[i]]} {outputs[i, targets[i]]:.4f}",
                "word": i if len(texts) == len(content) else int(np.searchsorted(starts, i, side="right")) - 1,
                "parts": parts(texts, drops[:, i]),
            }
            for i in (range(len(content)) if word is None else [word])
        ]


def hidden(arrays: Arrays) -> list[Arrays]:
    """The sentence with each word in turn, or each few of a long one, made unknown."""
    words, characters = arrays
    starts, made = few_parts(len(words)), []
    for start, end in zip(starts, starts[1:]):
        less, fewer = words.copy(), characters.copy()
        less[start:end], fewer[start:end] = UNKNOWN, PADDING
        made.append((less, fewer))
    return made
