"""What of an answer is shown: what its task says, the likeliest labels too, or the spans that tags mark."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from ..tag_grammar import spans
from ..tasks import Answer, Answers


class Given(Protocol):
    """An input as it was given."""

    @property
    def name(self) -> str: ...

    @property
    def content(self) -> Any: ...

    @property
    def text(self) -> str: ...  # as it was typed, or read from a file


class View:
    """As the task says."""

    def __init__(self, task: Answers) -> None:
        self.task = task
        self.title: str | None = task.title  # the first line of a table, if it needs one
        self.columns: Sequence[str] = task.columns  # of CSV, after the input's name

    def answer(self, given: Given, outputs: Float[np.ndarray, "*t k"]) -> Answer:
        return self.task.answer(outputs)

    def json(self, answer: Answer) -> Answer:
        """The answer in JSON."""
        return answer

    def lines(self, given: Given, answer: Answer) -> Iterable[str]:
        """The answer in a table for people."""
        yield self.task.line(given.name, given.content, answer)

    def rows(self, given: Given, answer: Answer) -> Iterable[Sequence[Any]]:
        """The answer in CSV."""
        return self.task.rows(given.content, answer)


class Likeliest(View):
    """And the labels with the highest probabilities: of tags, those of each word by itself."""

    def __init__(self, task: Answers, count: int) -> None:
        super().__init__(task)
        self._count, self._width = min(count, len(task.labels)), max(map(len, [*task.labels, "label"]))
        self.title = f"probability  {'label':{self._width}}  input"
        added = [name for i in range(1, self._count + 1) for name in (f"top {i}", f"probability {i}")]
        self.columns = [*task.columns, *added]

    def answer(self, given: Given, outputs: Float[np.ndarray, "*t k"]) -> Answer:
        order = np.argsort(-outputs, axis=-1, kind="stable")[..., : self._count]
        rows = zip(np.atleast_2d(order), np.atleast_2d(outputs))
        top = [[{"label": self.task.labels[i], "probability": float(row[i])} for i in some] for some, row in rows]
        return super().answer(given, outputs) | {"top": top if outputs.ndim > 1 else top[0]}

    def json(self, answer: Answer) -> Answer:
        """Without the probabilities of all labels."""
        return {key: value for key, value in answer.items() if not isinstance(value, dict)}

    def lines(self, given: Given, answer: Answer) -> Iterable[str]:
        for i, top in enumerate(_of_each(answer)):
            name = given.content[i] if isinstance(answer["top"][0], list) else given.name
            yield from (f"{one['probability']:11.4f}  {one['label']:{self._width}}  {name}" for one in top)

    def rows(self, given: Given, answer: Answer) -> Iterable[Sequence[Any]]:
        chosen = self.task.rows(given.content, answer)
        for row, top in zip(chosen, _of_each(answer), strict=True):
            yield [*row, *(cell for one in top for cell in (one["label"], f"{one['probability']:.6f}"))]


def _of_each(answer: Answer) -> list[list[Answer]]:
    """The likeliest labels of the input, or of each of its words."""
    return answer["top"] if isinstance(answer["top"][0], list) else [answer["top"]]


class Spans(View):
    """In place of tags the spans that they mark, with their places in the text: from 0, without the end."""

    def __init__(self, task: Answers) -> None:
        super().__init__(task)
        self._width = max(map(len, [*task.labels, "label"]))
        self.title = f"{'label':{self._width}}  {'words':>9}  {'characters':>11}  text  (input)"
        self.columns = ("label", "start", "end", "start_character", "end_character", "text")

    def answer(self, given: Given, outputs: Float[np.ndarray, "*t k"]) -> Answer:
        answer, places = super().answer(given, outputs), _places(given.text, given.content)
        found: list[Answer] = []
        for label, start, end in spans(answer["labels"]):
            first, last = places[start], places[end - 1] + len(given.content[end - 1])
            places_of = (label, start, end, first, last, given.text[first:last])
            found.append(dict(zip(self.columns, places_of)))
        return answer | {"spans": found}

    def lines(self, given: Given, answer: Answer) -> Iterable[str]:
        for one in answer["spans"]:
            words, characters = f"{one['start']}-{one['end']}", f"{one['start_character']}-{one['end_character']}"
            yield f"{one['label']:{self._width}}  {words:>9}  {characters:>11}  {one['text']}  ({given.name})"

    def rows(self, given: Given, answer: Answer) -> Iterable[Sequence[Any]]:
        return ([one[name] for name in self.columns] for one in answer["spans"])


def _places(text: str, words: Sequence[str]) -> list[int]:
    """Where each word begins in the text that they were split from."""
    places, at = [], 0
    for word in words:
        at = text.index(word, at)
        places.append(at)
        at += len(word)
    return places
