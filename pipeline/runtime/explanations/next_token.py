"""Explanations of language models: which earlier words made the next token. Axes: n texts, k different tokens."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..encoders.byte_tokenizer import START
from ..generator import Generator, Tokens
from ..inputs import Arrays
from . import words
from .texts import parts
from .words import CONTEXT, ROWS

LEGEND = (
    "The next token is predicted again without each word of the text so far: red words make it likelier, blue ones "
    "less likely."
)


class NextToken:
    legend = LEGEND

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._length = min(generator.context, CONTEXT) if generator.bounded else CONTEXT

    def facts(self, content: str, arrays: Arrays = (), outputs: Any = None) -> list[dict[str, Any]]:
        """Of the likeliest token after a text, by its last tokens: as many as are read at once."""
        tokens = self._generator.tokenizer.encode(content)
        known = tokens[-(self._length - 1) :]
        before = [START] if len(known) == len(tokens) else []

        def score(texts: list[Tokens]) -> Float[np.ndarray, "n k"]:
            return log_odds(self._logits([np.concatenate([before, text]).astype(np.int32) for text in texts]))

        logits = self._logits([np.concatenate([before, known]).astype(np.int32)])[0]
        token = int(logits.argmax())
        odds = float(log_odds(logits[None])[0, token])
        pieces = list(self._generator.tokenizer.decode(known.tolist()))
        starts, drops = words.leave_one_out(known, words.borders(pieces), [token], score)
        texts = ["".join(pieces[start:end]) for start, end in zip(starts, starts[1:])]
        name = "the text's end" if token == START else "".join(self._generator.tokenizer.decode([token]))
        title = f"next: {name if name.strip() else repr(name)} {1 / (1 + np.exp(-odds)):.4f}"
        return [{"of": name, "title": title, "parts": parts(texts, drops[:, 0])}]

    def warm_up(self) -> None:
        """Compiles the one shape."""
        self._logits([np.array([START])])

    def _logits(self, texts: list[Tokens]) -> Float[np.ndarray, "n k"]:
        """After the last token of each text. What follows it in a row changes nothing before it."""
        found = []
        for start in range(0, len(texts), ROWS):
            some = texts[start : start + ROWS]
            rows = np.zeros((ROWS, self._length), np.int32)
            for row, text in zip(rows, some):
                row[: len(text)] = text
            logits, _ = self._generator.step(self._generator.init_cache(ROWS), rows)
            found += [own[max(len(text), 1) - 1] for own, text in zip(logits, some)]
        return np.stack(found)


def log_odds(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """ln(p / (1 - p)) of each token's probability."""
    values = logits.astype(np.float64)
    chances = np.exp(values - np.logaddexp.reduce(values, axis=-1, keepdims=True))
    rest = np.maximum(chances.sum(-1, keepdims=True) - chances, 1e-15)
    return np.log(np.maximum(chances, 1e-300)) - np.log(rest)
