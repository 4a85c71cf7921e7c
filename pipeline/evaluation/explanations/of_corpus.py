"""Tokens of a language model's text, each explained by leaving out the words before it. A row is a token that is
predicted. Axes: n variants, p parts, b texts, t tokens.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Array, Bool, Float, Int

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import sources
from pipeline.evaluation.explanations.explainable import Attribution, Explained
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.layers.embedding import unembed
from pipeline.loaders import token_store
from pipeline.models import LanguageModel
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import START, ByteTokenizer
from pipeline.runtime.explanations import page, words
from pipeline.runtime.explanations.words import CONTEXT, ROWS, Tokens


class Corpus:
    tested, steps = 32, 10
    method = "leaving out each earlier word"
    legend = (
        "The last token, with a line around it, is predicted again without each word before it: red words make it "
        "likelier, blue ones less likely."
    )

    def __init__(self, predictor: Predictor, tree: Tree, network: NetworkSettings, split: str) -> None:
        self._predictor, self._tree, self._split = predictor, tree, split
        self._text = token_store.load(paths.features(split))
        table = pq.read_table(paths.EVALUATION / f"{split}.parquet", columns=["place", "guess"])
        self._places, self._guesses = (table[name].to_numpy() for name in ("place", "guess"))
        self.rows = len(self._places)
        spec: Any = predictor.task.inputs.settings.spec
        self._tokenizer = ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), spec)
        self._length = min(network.context, CONTEXT)  # type: ignore[union-attr]

    def likeliest(self, rows: Sequence[int]) -> list[int]:
        return self._guesses[list(rows)].tolist()

    def attribute(self, rows: Sequence[int], outputs: Sequence[int]) -> list[Attribution]:
        found = []
        for row, output in zip(rows, outputs):
            start, known = self._before(row)

            def scores(texts: list[Tokens], start: list[int] = start, output: int = output) -> Float[np.ndarray, "n 1"]:
                return self._measure(start, texts, output)[0][:, None]

            starts, drops = words.leave_one_out(known, words.borders(self._pieces(known)), [0], scores)
            found.append(Attribution(drops[:, 0], starts))
        return found

    def answers(
        self, row: int, output: int, parts: Attribution, kept: Bool[np.ndarray, "n p"]
    ) -> Float[np.ndarray, " n"]:
        """Where a part is not kept, the text is without it."""
        assert parts.starts is not None
        (start, known), sizes = self._before(row), np.diff(parts.starts)
        return self._measure(start, [known[np.repeat(one, sizes)] for one in kept], output)[1]

    def show(self, rows: Sequence[int], found: Sequence[Attribution]) -> list[Explained]:
        read_from, shown = sources.of(self._split), []
        for row, (weights, starts, *_) in zip(rows, found):
            assert starts is not None
            _, known = self._before(row)
            pieces = self._pieces(np.append(known, self._text.windows(self._places[[row]], 1)[0]))
            texts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
            document = int(np.searchsorted(self._text.starts, self._places[row], side="right")) - 1
            shownparts = page.text([*texts, pieces[-1]], np.append(weights, 0.0), len(texts))
            shown.append(Explained(str(read_from[document]), shownparts))
        return shown

    def _before(self, row: int) -> tuple[list[int], Tokens]:
        """The last tokens before a row's, and the token for the document's beginning if it stands before these."""
        place = int(self._places[row])
        first = int(self._text.starts[np.searchsorted(self._text.starts, place, side="right") - 1])
        begin = max(first + 1, place - self._length + 1)
        known = self._text.windows(np.array([begin]), place - begin)[0]
        return ([START] if begin == first + 1 else []), known

    def _pieces(self, tokens: Tokens) -> list[str]:
        return list(self._tokenizer.decode(tokens.tolist()))

    def _measure(self, start: list[int], texts: list[Tokens], output: int) -> tuple[np.ndarray, np.ndarray]:
        """The evidence for the output as the next token of each text, and its probability."""
        found = []
        for first in range(0, len(texts), ROWS):
            rows, ends = np.zeros((ROWS, self._length), np.int32), np.zeros(ROWS, np.int32)
            for i, text in enumerate(texts[first : first + ROWS]):
                whole = [*start, *text.tolist()] or [START]
                rows[i, : len(whole)], ends[i] = whole, len(whole) - 1
            found.append(np.asarray(_evidence(self._predictor, self._tree, rows, ends, np.int32(output)), np.float64))
        evidence = np.concatenate(found)[: len(texts)]
        return evidence, 1 / (1 + np.exp(-evidence))


@partial(jax.jit, static_argnums=0)
def _evidence(
    predictor: Predictor, tree: Tree, tokens: Int[Array, "b t"], ends: Int[Array, " b"], output: Int[Array, ""]
) -> Float[Array, " b"]:
    """Of the output after the token at each text's end. What follows in a row changes nothing before it."""
    model = cast(LanguageModel, predictor.model(tree["params"], tree["model_state"]))
    hidden = jnp.take_along_axis(model.hidden(tokens), ends[:, None, None], axis=1)  # b 1 d
    logits = unembed(model.table[...], hidden)[:, 0]
    return predictor.task.evidence(logits, jnp.broadcast_to(output, (len(tokens),)))
