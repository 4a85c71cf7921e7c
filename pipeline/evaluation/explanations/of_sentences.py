"""Words of sentences, whose tags are explained by hiding each word of the sentence. A row is a word.

Axes: n variants, p parts, t words, l characters.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq
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
from pipeline.runtime.encoders.word_vocabulary import UNKNOWN
from pipeline.runtime.explanations import page, words


class Sentences:
    tested, steps = 64, 10
    method = "hiding each word"
    legend = (
        "A tag, of the word with a line around it, is computed again with each word of the sentence hidden: red words "
        "speak for the tag, blue ones against it."
    )

    def __init__(self, predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> None:
        test = buckets.load(paths.features(split), predictor.task.inputs)
        self._predictor, self._tree, self._split = predictor, tree, split
        self._words, self._characters = (np.asarray(test.inputs[name]) for name in ("words", "characters"))
        self._starts, self.rows = np.asarray(test.starts), len(test.targets)
        self._longest: int = predictor.task.inputs.settings.max_length  # type: ignore[union-attr]

    def likeliest(self, rows: Sequence[int]) -> list[int]:
        found = []
        for row in rows:
            start, end = self._sentence(row)
            whole = np.ones((1, 1), bool)
            found.append(int(self._measure(row, 0, np.array([0, end - start]), whole).likeliest[0]))
        return found

    def attribute(self, rows: Sequence[int], outputs: Sequence[int]) -> list[Attribution]:
        found = []
        for row, output in zip(rows, outputs):
            start, end = self._sentence(row)
            starts = np.array(words.few_parts(end - start))
            kept = np.concatenate([np.ones((1, len(starts) - 1), bool), ~np.eye(len(starts) - 1, dtype=bool)])
            evidence = self._measure(row, output, starts, kept).evidence
            found.append(Attribution(evidence[0] - evidence[1:], starts))
        return found

    def answers(
        self, row: int, output: int, parts: Attribution, kept: Bool[np.ndarray, "n p"]
    ) -> Float[np.ndarray, " n"]:
        """A part that is not kept is hidden: unknown words without letters."""
        assert parts.starts is not None
        return self._measure(row, output, parts.starts, kept).answers

    def show(self, rows: Sequence[int], found: Sequence[Attribution]) -> list[Explained]:
        table = pq.read_table(paths.prepared(self._split), columns=["words"])["words"]
        cut = [-(-len(sentence) // self._longest) for sentence in table.to_pylist()]  # preprocess splits long ones
        of, places = np.repeat(np.arange(len(cut)), cut), np.concatenate([np.arange(count) for count in cut])
        read_from, shown = sources.of(self._split), []
        for row, (weights, starts, *_) in zip(rows, found):
            assert starts is not None
            piece = int(np.searchsorted(self._starts, row, side="right")) - 1
            first = int(places[piece]) * self._longest
            own = table[int(of[piece])].as_py()[first : first + self._longest]
            texts = [f"{' '.join(own[start:end])} " for start, end in zip(starts, starts[1:])]
            marked = int(np.searchsorted(starts, row - self._starts[piece], side="right")) - 1
            shown.append(Explained(str(read_from[of[piece]]), page.text(texts, weights, marked)))
        return shown

    def _sentence(self, row: int) -> tuple[int, int]:
        """The first word of a word's sentence, and the end of its last one."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return int(self._starts[number]), int(self._starts[number + 1])

    def _measure(self, row: int, output: int, starts: np.ndarray, kept: Bool[np.ndarray, "n p"]) -> Measured:
        """Of the word, in each variant of its sentence."""
        first, end = self._sentence(row)
        seen = np.repeat(kept, np.diff(starts), axis=1)
        ids = np.where(seen, self._words[first:end].astype(np.int32)[None], UNKNOWN)
        characters = np.where(seen[..., None], self._characters[first:end].astype(np.int32)[None], PAD)
        place = np.full(len(kept), row - first)
        arrays = attribution.few_lengths(ids, characters)
        return attribution.measure(self._predictor, self._tree, arrays, output, place)
