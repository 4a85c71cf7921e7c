"""A packaged language model in use: it says how likely a text is, and writes on. No training code, as in `packaged`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from pydantic import ValidationError

from pipeline.runtime.classifier import opened, restored
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import START, ByteTokenizer, CorpusSpec
from pipeline.runtime.errors import UserError
from pipeline.runtime.windows import windows

PIECES = (256, 16, 1)  # tokens that are read at once: few sizes, since each compiles

Memory = dict[str, Any]
Numbers = Integer[np.ndarray, " t"]


class Sampling(NamedTuple):
    """How the next token is chosen among the likely ones."""

    temperature: float = 1.0  # the logits are divided by it; 0 takes the likeliest
    top_k: int | None = None  # only among so many (Fan et al. 2018, arXiv:1805.04833)
    top_p: float | None = None  # only among the likeliest that have this share together (arXiv:1904.09751)


class Generator:
    """Raises UserError for a folder that is no package of a language model, or is damaged."""

    def __init__(self, folder: Path) -> None:
        import jax

        self.config = opened(folder)
        try:
            spec = CorpusSpec.model_validate(self.config["preprocessing"])
        except ValidationError as error:
            raise UserError(f"{folder / 'config.json'}: its preprocessing is not of this version") from error
        self.alphabet = ByteTokenizer(text_tokenizer.load(folder / "tokenizer.json"), spec)
        extend, weights = restored(folder)
        try:
            (_, self._memory, _), _ = jax.tree.unflatten(extend.in_tree, extend.in_avals)
            known = extend.out_avals[0].shape[-1]
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise UserError(f"{folder}: model.jaxexp is no language model; copy the package anew") from error
        if known != self.alphabet.size:
            raise UserError(
                f"{folder}: the model knows {known:,} tokens, its tokenizer.json {self.alphabet.size:,}: "
                "they are not of one package; copy it anew"
            )
        self.context: Any = self.config.get("context")
        self.bounded: Any = self.config.get("bounded")
        room = {n for array in self._memory.values() for n in array.shape if isinstance(n, int)}
        right = type(self.context) is int and self.context >= 1 and type(self.bounded) is bool
        if not right or (self.bounded and self.context not in room):
            raise UserError(f"{folder / 'config.json'}: context and bounded are not the model's; copy the package anew")
        self._extend: Callable[..., Any] = jax.jit(lambda memory, tokens: extend.call(weights, memory, tokens))

    def start(self) -> Memory:
        """The memory of one text, before its first token."""
        shapes = {name: [n if isinstance(n, int) else 1 for n in x.shape] for name, x in self._memory.items()}
        return {name: np.zeros(shape, self._memory[name].dtype) for name, shape in shapes.items()}

    def read(self, memory: Memory, tokens: Numbers) -> tuple[Float[np.ndarray, "t k"], Memory]:
        """The logits after each token, and the memory with these tokens in it."""
        found = []
        while len(tokens):
            size = next(size for size in PIECES if size <= len(tokens))
            logits, memory = self._extend(memory, np.asarray(tokens[None, :size], np.int32))
            found.append(np.asarray(logits)[0])
            tokens = tokens[size:]
        return np.concatenate(found), memory

    def surprise(self, tokens: Numbers) -> Float[np.ndarray, " t"]:
        """The loss in nats of each token of a document: minus the logarithm of its probability."""
        row = np.concatenate([[START], tokens])
        found: list[np.ndarray] = []
        for first, skip, end in zip(*windows([0, len(row)], self.context)):
            logits, _ = self.read(self.start(), row[first : first + end])
            logits = logits[skip:].astype(np.float64)
            top = logits.max(-1, keepdims=True)
            whole = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
            found.append(whole - logits[np.arange(end - skip), row[first + skip + 1 : first + end + 1]])
        return np.concatenate([np.zeros(0), *found])

    def write(self, prompt: Numbers, most: int, how: Sampling, *, seed: int) -> Iterator[int]:
        """Up to `most` tokens that go on from the prompt, until the document ends. Equal seeds write equal texts.

        A model whose memory is full reads the last half of what it remembered anew.
        """
        random = np.random.default_rng(seed)
        seen = np.concatenate([[START], prompt])
        logits, memory, held = self._remembered(seen)
        for _ in range(most):
            token = draw(logits, how, random)
            if token == START:
                return
            yield token
            seen = np.append(seen, token)
            if self.bounded and held == self.context:
                logits, memory, held = self._remembered(seen[-(self.context // 2) :])
            else:
                found, memory = self.read(memory, seen[-1:])
                logits, held = found[-1], held + 1

    def _remembered(self, seen: Numbers) -> tuple[Float[np.ndarray, " k"], Memory, int]:
        kept = seen[-self.context :] if self.bounded else seen
        logits, memory = self.read(self.start(), kept)
        return logits[-1], memory, len(kept)


def draw(logits: Float[np.ndarray, " k"], how: Sampling, random: np.random.Generator) -> int:
    """A token, at random by its probability."""
    if how.temperature == 0:
        return int(logits.argmax())
    order = np.argsort(-logits, kind="stable")[: how.top_k]  # the likeliest first
    scaled = (logits[order].astype(np.float64) - float(logits[order[0]])) / how.temperature
    likely = np.exp(scaled)
    likely /= likely.sum()
    if how.top_p is not None:
        enough = int(np.searchsorted(np.cumsum(likely), how.top_p)) + 1
        order, likely = order[:enough], likely[:enough] / likely[:enough].sum()
    return int(order[min(np.searchsorted(np.cumsum(likely), random.random()), len(order) - 1)])
