"""Texts, explained by leaving out each word. Axes: n variants, p parts, t tokens."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Bool, Float

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import sources
from pipeline.evaluation.explanations import attribution
from pipeline.evaluation.explanations.attribution import Measured
from pipeline.evaluation.explanations.explainable import Attribution, Explained
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.examples.batch import PAD
from pipeline.loaders import buckets
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.specs import TextSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.explanations import page, words
from pipeline.runtime.explanations.words import Tokens


class Texts:
    tested, steps = 32, 10
    method = "leaving out each word"
    legend = (
        "The output is computed again without each word: red words raise it, blue ones lower it. In a text of more "
        f"than {words.EVALUATIONS} words, some stand together. [...] marks what max_length cut out."
    )

    def __init__(self, predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> None:
        test = buckets.load(paths.features(split), predictor.task.inputs)
        self._predictor, self._tree, self._split = predictor, tree, split
        self._tokens, self._starts, self.rows = np.asarray(test.inputs["tokens"]), np.asarray(test.starts), len(test)
        self._tokenizer = text_tokenizer.load(paths.TOKENIZER)
        self._spec = cast(TextSpec, predictor.task.inputs.settings.spec)

    def likeliest(self, rows: Sequence[int]) -> list[int]:
        return self._measure([self._text(row) for row in rows]).likeliest.tolist()

    def attribute(self, rows: Sequence[int], outputs: Sequence[int]) -> list[Attribution]:
        found = []
        for row, output, pieces in zip(rows, outputs, self._pieces(rows)):

            def scores(texts: list[Tokens], output: int = output) -> Float[np.ndarray, "n 1"]:
                return self._measure(texts, output).evidence[:, None]

            starts, drops = words.leave_one_out(self._text(row), words.borders(pieces), [0], scores)
            found.append(Attribution(drops[:, 0], starts))
        return found

    def answers(
        self, row: int, output: int, parts: Attribution, kept: Bool[np.ndarray, "n p"]
    ) -> Float[np.ndarray, " n"]:
        """Where a part is not kept, the text is without it."""
        assert parts.starts is not None
        tokens, sizes = self._text(row), np.diff(parts.starts)
        return self._measure([tokens[np.repeat(one, sizes)] for one in kept], output).answers

    def show(self, rows: Sequence[int], found: Sequence[Attribution]) -> list[Explained]:
        shown, own = [], sources.examples(self._split, rows, ["source"])
        for of, pieces, (weights, starts, *_) in zip(own, self._pieces(rows), found):
            assert starts is not None
            texts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
            shown.append(Explained(of["source"], page.text(texts, weights)))
        return shown

    def _text(self, row: int) -> Tokens:
        return self._tokens[self._starts[row] : self._starts[row + 1]]

    def _pieces(self, rows: Sequence[int]) -> list[list[str]]:
        """The user's own texts, in the parts that their tokens are."""
        found = []
        for row, own in zip(rows, sources.examples(self._split, rows, ["text", "source"]), strict=True):
            pieces = text_tokenizer.pieces(self._tokenizer, own["text"], self._spec)
            if len(pieces) != len(self._text(row)):
                raise UserError(
                    f"{paths.TOKENIZER}: does not give the stored tokens of {own['source']}; `dvc repro` makes both "
                    "again"
                )
            found.append(pieces)
        return found

    def _measure(self, texts: list[Tokens], output: int = 0) -> Measured:
        tokens = np.full((len(texts), max(map(len, texts), default=0) or 1), PAD, np.int32)
        for row, text in zip(tokens, texts):
            row[: len(text)] = text
        return attribution.measure(self._predictor, self._tree, attribution.few_lengths(tokens), output)
