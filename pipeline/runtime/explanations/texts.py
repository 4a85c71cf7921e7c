"""Explanations of texts, by leaving out each word; and how explanations of words are shown: on a page for the browser,
and on standard output.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from .. import printing
from ..inputs import Arrays
from ..predictor import Predictor
from . import page, scores, terminal, words
from .explainer import Given, writing

TITLE = "What spoke for the answers"
LEGEND = (
    "The answer is computed again without each word: red words speak for it, blue ones against it. In a text of more "
    f"than {words.EVALUATIONS} words, some stand together. [...] marks what is not read."
)


class OfWords(Protocol):
    legend: str

    def facts(self, content: Any, arrays: Arrays, outputs: Float[np.ndarray, "*t k"]) -> list[dict[str, Any]]:
        """For each answer: what it is `of`, its `title`, the `parts` of the input, each a `text` and its `weight`, and
        where it is of one word the number of that `word`.
        """
        ...


class Texts:
    legend = LEGEND

    def __init__(self, predictor: Predictor, of: int | None = None) -> None:
        self._predictor, self._of = predictor, of

    def facts(self, content: Any, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> list[dict[str, Any]]:
        predictor, task, (tokens,) = self._predictor, self._predictor.task, arrays

        def score(texts: list[words.Tokens]) -> Float[np.ndarray, "n k"]:
            return scores.scores(task, np.stack(predictor.outputs([(text,) for text in texts])))

        targets = scores.explained(task, outputs, self._of)
        pieces = predictor.inputs.pieces(content)  # type: ignore[attr-defined]
        starts, drops = words.leave_one_out(tokens, words.borders(pieces), targets, score)
        texts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
        return [
            {"of": task.labels[target], "title": scores.title(task, outputs, target), "parts": parts(texts, own)}
            for target, own in zip(targets, drops.T)
        ]


def parts(texts: Sequence[str], weights: Float[np.ndarray, " n"]) -> list[dict[str, Any]]:
    return [{"text": text, "weight": round(float(weight), 6)} for text, weight in zip(texts, weights)]


def split(fact: dict[str, Any]) -> tuple[list[str], Float[np.ndarray, " n"]]:
    """The texts of the parts, and their weights."""
    return [part["text"] for part in fact["parts"]], np.array([part["weight"] for part in fact["parts"]], np.float64)


class Explanation:
    def __init__(self, titles: Sequence[str], facts: list[dict[str, Any]]) -> None:
        self._titles, self.facts = titles, facts

    def show(self) -> None:
        for title, fact in zip(self._titles, self.facts):
            pieces, weights = split(fact)
            if "word" in fact:  # of many: a line each
                print(f"  {title}: {', '.join(terminal.strongest(pieces, weights.tolist())) or 'no word changes it'}")
            elif terminal.has_colours():
                text = terminal.coloured(pieces, page.shares(weights))
                printing.raw(f"  {printing.shown(title)}: {text.strip()}\n")
            else:
                print(f"  for {title} (+) and against it (-):", *terminal.listed(pieces, weights.tolist()), sep="\n")


class Pages:
    """Explanations on a page for the browser."""

    def __init__(self, of: OfWords, path: Path) -> None:
        self._of, self._path = of, path
        with writing(path):
            path.write_text(page.head(TITLE, of.legend), encoding="utf-8", newline="\n")

    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, "*t k"]) -> Explanation:
        facts = self._of.facts(given.content, arrays, outputs)
        titles = [fact.pop("title") for fact in facts]
        with writing(self._path), self._path.open("a", encoding="utf-8", newline="\n") as file:
            for title, fact in zip(titles, facts):
                file.write(
                    page.section(page.Explained(title, "", given.name, page.text(*split(fact), fact.get("word"))))
                )
        return Explanation(titles, facts)


def load(of: OfWords, folder: Path) -> Pages:
    return Pages(of, folder / "explained.html")
