"""Explanations of texts: a page for the browser, and coloured words or a list of them on standard output."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .. import printing
from ..inputs import Arrays
from ..predictor import Predictor
from . import page, scores, terminal
from .explainer import Given, writing
from .occlusion import EVALUATIONS, Occlusion, Tokens, occlusion

TITLE = "What spoke for the answers"
LEGEND = (
    "The answer is computed again without each part of the text: red parts speak for it, blue ones against it. In a "
    f"text of more than {EVALUATIONS} tokens, a part is several tokens. [...] marks what is not read."
)


class Explanation:
    def __init__(self, titles: list[str], facts: list[dict[str, Any]]) -> None:
        self._titles, self.facts = titles, facts

    def show(self) -> None:
        for title, one in zip(self._titles, self.facts):
            pieces = [part["text"] for part in one["parts"]]
            weights = [part["weight"] for part in one["parts"]]
            if terminal.has_colours():
                text = terminal.coloured(pieces, page.shares(np.array(weights)))
                printing.raw(f"  {printing.shown(title)}: {text.strip()}\n")
            else:
                print(f"  for {title} (+) and against it (-):", *terminal.listed(pieces, weights), sep="\n")


class Texts:
    def __init__(self, predictor: Predictor, path: Path, of: int | None) -> None:
        self._predictor, self._path, self._of = predictor, path, of
        with writing(path):
            path.write_text(page.head(TITLE, LEGEND), encoding="utf-8", newline="\n")

    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> Explanation:
        task, (tokens,) = self._predictor.task, arrays
        targets = scores.explained(task, outputs, self._of)
        titles = [scores.title(task, outputs, target) for target in targets]
        pieces = self._predictor.inputs.pieces(given.content)  # type: ignore[attr-defined]
        facts, sections = [], []
        for target, title, (starts, drops) in zip(targets, titles, self._occlusions(tokens, targets)):
            parts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
            sections.append(page.section(page.Explained(title, "", given.name, parts, drops)))
            weighted = [{"text": part, "weight": round(float(drop), 6)} for part, drop in zip(parts, drops)]
            facts.append({"of": task.labels[target], "parts": weighted})
        with writing(self._path), self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(sections)
        return Explanation(titles, facts)

    def _occlusions(self, tokens: Tokens, targets: list[int]) -> list[Occlusion]:
        """For each target. The variants of the text run once."""
        known: list[Float[np.ndarray, "n k"]] = []

        def score(variants: list[Tokens]) -> Float[np.ndarray, "n k"]:
            if not known:
                outputs = np.stack(self._predictor.outputs([(variant,) for variant in variants]))
                known.append(scores.scores(self._predictor.task, outputs))
            return known[0]

        return [occlusion([tokens], [target], score)[0] for target in targets]


def load(predictor: Predictor, package: Path, folder: Path, of: int | None) -> Texts:
    return Texts(predictor, folder / "explained.html", of)
