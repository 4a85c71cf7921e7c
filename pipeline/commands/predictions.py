"""How `predict` prints a classifier's predictions: as a table, as JSON Lines or as CSV."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

TAGGING = "sequence-tagging"


class Form(Protocol):
    """One output form, for one classifier."""

    def write(self, name: str, words: Sequence[str] | None, probabilities: Float[np.ndarray, "*t k"]) -> None:
        """Prints the prediction for one input: the likeliest label, or a tag for each of a sentence's words."""
        ...


class Table:
    """Columns for people to read; a sentence is one line of word/tag, which the slash-tagged reader can read."""

    def __init__(self, labels: Sequence[str], task: str) -> None:
        self._labels = labels
        self._width = max(len(label) for label in [*labels, "label"])
        self._has_title = task == TAGGING

    def write(self, name: str, words: Sequence[str] | None, probabilities: Float[np.ndarray, "*t k"]) -> None:
        if words is not None:
            print(" ".join(f"{word}/{self._labels[i]}" for word, i in zip(words, probabilities.argmax(-1))))
            return
        if not self._has_title:  # printed with the first answer, so that an error stands alone
            print(f"probability  {'label':{self._width}}  input")
            self._has_title = True
        best = int(probabilities.argmax())
        print(f"{probabilities[best]:11.4f}  {self._labels[best]:{self._width}}  {name}")


class Json:
    """One JSON object per line."""

    def __init__(self, labels: Sequence[str], task: str) -> None:
        self._labels = labels

    def write(self, name: str, words: Sequence[str] | None, probabilities: Float[np.ndarray, "*t k"]) -> None:
        best, highest = probabilities.argmax(-1), probabilities.max(-1)
        if words is not None:
            answer = {
                "input": name,
                "words": list(words),
                "labels": [self._labels[i] for i in best],
                "probabilities": [round(float(p), 6) for p in highest],
            }
        else:
            answer = {
                "input": name,
                "label": self._labels[best],
                "probability": float(highest),
                "probabilities": {label: float(p) for label, p in zip(self._labels, probabilities)},
            }
        print(json.dumps(answer))


class Csv:
    """Comma-separated values: a row for each input, or for each word of a sentence."""

    def __init__(self, labels: Sequence[str], task: str) -> None:
        self._labels = labels
        self._table = csv.writer(sys.stdout, lineterminator="\n")
        word = ["word"] if task == TAGGING else []
        self._table.writerow(["input", *word, "label", "probability"])

    def write(self, name: str, words: Sequence[str] | None, probabilities: Float[np.ndarray, "*t k"]) -> None:
        for i, row in enumerate(np.atleast_2d(probabilities)):
            word = [] if words is None else [words[i]]
            best = int(row.argmax())
            self._table.writerow([name, *word, self._labels[best], f"{row[best]:.6f}"])
