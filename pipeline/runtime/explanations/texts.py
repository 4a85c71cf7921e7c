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
    def __init__(self, predictor: Predictor, of: int | None = None) -> None:
        self._predictor, self._of = predictor, of

    def parts(self, content: Any, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> list[dict[str, Any]]:
        """For each answer, its title and the weights of the parts of the text."""
        task, (tokens,) = self._predictor.task, arrays
        targets = scores.explained(task, outputs, self._of)
        pieces = self._predictor.inputs.pieces(content)  # type: ignore[attr-defined]
        facts = []
        for target, (starts, drops) in zip(targets, self._occlusions(tokens, targets)):
            parts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
            weighted = [{"text": part, "weight": round(float(drop), 6)} for part, drop in zip(parts, drops)]
            facts.append({"of": task.labels[target], "title": scores.title(task, outputs, target), "parts": weighted})
        return facts

    def _occlusions(self, tokens: Tokens, targets: list[int]) -> list[Occlusion]:
        """For each target. The variants of the text run once."""
        known: list[Float[np.ndarray, "n k"]] = []

        def score(variants: list[Tokens]) -> Float[np.ndarray, "n k"]:
            if not known:
                outputs = np.stack(self._predictor.outputs([(variant,) for variant in variants]))
                known.append(scores.scores(self._predictor.task, outputs))
            return known[0]

        return [occlusion([tokens], [target], score)[0] for target in targets]


class Pages:
    """Explanations on a page for the browser."""

    def __init__(self, texts: Texts, path: Path) -> None:
        self._texts, self._path = texts, path
        with writing(path):
            path.write_text(page.head(TITLE, LEGEND), encoding="utf-8", newline="\n")

    def explain(self, given: Given, arrays: Arrays, outputs: Float[np.ndarray, " k"]) -> Explanation:
        facts = self._texts.parts(given.content, arrays, outputs)
        titles = [one.pop("title") for one in facts]
        sections = []
        for title, one in zip(titles, facts):
            parts, drops = zip(*((part["text"], part["weight"]) for part in one["parts"])) if one["parts"] else ((), ())
            sections.append(page.section(page.Explained(title, "", given.name, list(parts), np.array(drops))))
        with writing(self._path), self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(sections)
        return Explanation(titles, facts)


def load(predictor: Predictor, package: Path, folder: Path, of: int | None) -> Pages:
    return Pages(Texts(predictor, of), folder / "explained.html")
