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
from .explainer import Given, gradient, writing

TITLE = "What spoke for the answers"
LEGEND = (
    "The answer is computed again without each word: red words speak for it, blue ones against it. In a text of more "
    f"than {words.EVALUATIONS} words, some stand together. [...] marks what is not read."
)

INTEGRATED = (
    "Integrated gradients, from vectors of zeros: what each word adds to the answer. Red words speak for it, blue ones "
    "against it. [...] marks what is not read."
)


class OfWords(Protocol):
    legend: str

    def facts(self, content: Any, arrays: Arrays, outputs: Float[np.ndarray, "*t k"]) -> list[dict[str, Any]]:
        """For each answer: what it is `of`, its `title`, the `parts` of the input, each a `text` and its `weight`, and
        where it is of one word the number of that `word`.
        """
        ...


class Texts:
    def __init__(self, predictor: Predictor, of: int | None = None, slopes: words.Slopes | None = None) -> None:
        """With `slopes`, by integrated gradients, in place of leaving out each word."""
        self._predictor, self._of, self._slopes = predictor, of, slopes
        self.legend = INTEGRATED if slopes else LEGEND

    def facts(self, content: Any, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> list[dict[str, Any]]:
        predictor, task, (tokens,) = self._predictor, self._predictor.task, arrays

        def score(texts: list[words.Tokens]) -> Float[np.ndarray, "n k"]:
            return scores.scores(task, np.stack(predictor.outputs([(text,) for text in texts])))

        targets = scores.explained(task, outputs, self._of)
        pieces = predictor.inputs.pieces(content)  # type: ignore[attr-defined]
        starts, facts = words.borders(pieces), [dict[str, Any]() for _ in targets]
        if self._slopes is None:
            starts, drops = words.leave_one_out(tokens, starts, targets, score)
            weights = list(drops.T)
        else:
            found = [words.integrated(arrays, starts, target, self._slopes) for target in targets]
            weights = [one.weights for one in found]
            facts = [{"completeness_error": round(one.gap, 6)} for one in found]
        texts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
        return [
            {
                "of": task.labels[target],
                "title": scores.title(task, outputs, target),
                **fact,
                "parts": parts(texts, own),
            }
            for target, own, fact in zip(targets, weights, facts)
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


def slopes(package: Path) -> words.Slopes:
    """Those of the package's own function. Raises UserError where it has none, or what it needs is missing."""
    call = gradient(package, "integrated")
    return lambda *inputs: words.TokenSlopes(*map(np.asarray, call(*inputs)))


def load(of: OfWords, folder: Path) -> Pages:
    return Pages(of, folder / "explained.html")
