"""A packaged language model: the loss of a text's tokens, and text that continues a prompt.

Needs jax, flatbuffers, jaxtyping, numpy, safetensors, tokenizers and tiktoken.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from . import tasks
from .encoders import specs, text_tokenizer
from .encoders.byte_tokenizer import START, ByteTokenizer
from .errors import UserError
from .package import load_function, open_package, read_object, run
from .windows import windows

CHUNKS = (256, 16, 1)  # tokens that are decoded at once: few sizes, since each is compiled

Cache = dict[str, Any]  # what the model keeps of the tokens so far: keys and values, or a recurrent state
Tokens = Integer[np.ndarray, " t"]


class Sampling(NamedTuple):
    """How the next token is chosen."""

    temperature: float = 1.0  # the logits are divided by it; 0 always chooses the likeliest token
    top_k: int | None = None  # among this many of the likeliest tokens (Fan et al. 2018, arXiv:1805.04833)
    top_p: float | None = None  # among the likeliest tokens that have this probability together (arXiv:1904.09751)


class Generator:
    """A packaged language model. Raises UserError for a folder that is not its package, or is damaged, or is not signed
    by the owner of the public key that is required.
    """

    def __init__(self, folder: Path | str, *, require_key: Path | None = None) -> None:
        import jax

        folder = Path(folder)
        self.config = open_package(folder, require_key)
        if not tasks.generates(self.config["task"]):
            raise UserError(f"{folder}: contains a model for {self.config['task']}, which cannot generate text")
        spec = specs.read(specs.CorpusSpec, self.config["preprocessing"], f"{folder / 'config.json'}: preprocessing")
        self.tokenizer = ByteTokenizer(text_tokenizer.load(folder / "tokenizer.json"), spec)
        function, weights = load_function(folder)
        try:
            (_, self._cache_shapes, _), _ = jax.tree.unflatten(function.in_tree, function.in_avals)
            vocabulary = function.out_avals[0].shape[-1]
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise UserError(f"{folder}: model.jaxexp is not a language model; copy the package again") from error
        if vocabulary != self.tokenizer.size:
            raise UserError(
                f"{folder}: the model has {vocabulary:,} tokens, its tokenizer.json {self.tokenizer.size:,}: "
                "they are from different packages; copy the package again"
            )
        signature = folder / "signature.json"
        limits = read_object(signature, "limits")["limits"] if signature.is_file() else self.config  # of format 4
        self.context: Any = limits.get("context") if isinstance(limits, dict) else None
        self.bounded: Any = limits.get("bounded") if isinstance(limits, dict) else None
        sizes = {n for array in self._cache_shapes.values() for n in array.shape if isinstance(n, int)}
        valid = type(self.context) is int and self.context >= 1 and type(self.bounded) is bool
        if not valid or (self.bounded and self.context not in sizes):
            raise UserError(
                f"{folder / 'signature.json'}: context and bounded are not the model's; copy the package again"
            )
        decode = jax.jit(lambda cache, tokens: function.call(weights, cache, tokens), donate_argnums=0)
        self._decode = run(folder, decode)

    def init_cache(self, texts: int = 1) -> Cache:
        """The cache of so many texts before their first tokens."""
        shapes = {name: [n if isinstance(n, int) else texts for n in x.shape] for name, x in self._cache_shapes.items()}
        return {name: np.zeros(shape, self._cache_shapes[name].dtype) for name, shape in shapes.items()}

    @property
    def batch_axes(self) -> dict[str, int]:
        """Which axis of each array of a cache is that of the texts: the only one of any size."""
        sizes = {name: [isinstance(n, int) for n in x.shape] for name, x in self._cache_shapes.items()}
        return {name: fixed.index(False) for name, fixed in sizes.items()}

    def is_full(self, cached: int) -> bool:
        """Whether a cache with so many tokens has no room for another."""
        return self.bounded and cached == self.context

    def step(self, cache: Cache, tokens: Integer[np.ndarray, "b t"]) -> tuple[Float[np.ndarray, "b t k"], Cache]:
        """The logits after each token of several texts, and the cache with these tokens in it. `cache` is used up."""
        logits, cache = self._decode(cache, tokens)
        return np.asarray(logits), cache

    def decode(self, cache: Cache, tokens: Tokens) -> tuple[Float[np.ndarray, "t k"], Cache]:
        """The logits after each token of a text, and the cache with these tokens in it. `cache` is used up."""
        outputs = []
        while len(tokens):
            size = next(size for size in CHUNKS if size <= len(tokens))
            logits, cache = self.step(cache, np.asarray(tokens[None, :size], np.int32))
            outputs.append(logits[0])
            tokens = tokens[size:]
        return np.concatenate(outputs), cache

    def token_losses(self, tokens: Tokens) -> Float[np.ndarray, " t"]:
        """The loss in nats of each token of a document: minus the logarithm of its probability."""
        document = np.concatenate([[START], tokens])
        losses = [np.zeros(0)]
        for first, skip, end in zip(*windows([0, len(document)], self.context)):
            logits, _ = self.decode(self.init_cache(), document[first : first + end])
            logits = logits[skip:].astype(np.float64)
            largest = logits.max(-1, keepdims=True)
            log_sum = np.log(np.exp(logits - largest).sum(-1)) + largest[:, 0]
            losses.append(log_sum - logits[np.arange(end - skip), document[first + skip + 1 : first + end + 1]])
        return np.concatenate(losses)

    def generate(self, prompt: Tokens, max_tokens: int, sampling: Sampling, *, seed: int) -> Iterator[int]:
        """Up to `max_tokens` tokens that continue the prompt, until the document ends. Equal seeds give equal tokens.

        When the cache of a bounded model is full, it is filled again with the second half of its tokens.
        """
        random = np.random.default_rng(seed)
        seen = np.concatenate([[START], prompt])
        logits, cache, cached = self.fill_cache(seen)
        for _ in range(max_tokens):
            token = sample_token(logits, sampling, random)
            if token == START:
                return
            yield token
            seen = np.append(seen, token)
            if self.is_full(cached):
                logits, cache, cached = self.fill_cache(seen[-(self.context // 2) :])
            else:
                outputs, cache = self.decode(cache, seen[-1:])
                logits, cached = outputs[-1], cached + 1

    def continuation(self, prompt: str, max_tokens: int, sampling: Sampling | None = None, seed: int = 0) -> str:
        """What the model writes after the prompt. Equal seeds give equal texts."""
        tokens = self.generate(self.tokenizer.encode(prompt), max_tokens, sampling or Sampling(), seed=seed)
        return "".join(self.tokenizer.decode(tokens))

    def fill_cache(self, seen: Tokens) -> tuple[Float[np.ndarray, " k"], Cache, int]:
        """The logits after the last token, a cache with as many tokens as it can hold, and their number."""
        kept = seen[-self.context :] if self.bounded else seen
        logits, cache = self.decode(self.init_cache(), kept)
        return logits[-1], cache, len(kept)


def sample_token(logits: Float[np.ndarray, " k"], sampling: Sampling, random: np.random.Generator) -> int:
    """A token, at random by its probability."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # at a tiny temperature, what is not the likeliest is infinitely unlikely
        weights = np.exp((logits.astype(np.float64) - float(logits.max())) / sampling.temperature)
    if sampling.top_k is not None and sampling.top_k < len(weights):
        weights[np.argpartition(-logits, sampling.top_k)[sampling.top_k :]] = 0
    if sampling.top_p is not None:
        order = np.argsort(-weights, kind="stable")
        sums = np.cumsum(weights[order])
        weights[order[int(np.searchsorted(sums, sampling.top_p * sums[-1])) + 1 :]] = 0
    sums = np.cumsum(weights)
    below = min(random.random() * sums[-1], np.nextafter(sums[-1], 0))  # the product may be rounded up to the sum
    return int(np.searchsorted(sums, below, side="right"))


def until(parts: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The parts of a text up to the first of `stops`, which is left out. Text that may be the beginning of one is held
    back.
    """
    held = ""
    for part in parts:
        held += part
        if found := [held.index(stop) for stop in stops if stop in held]:
            yield held[: min(found)]
            return
        beginnings = (n for stop in stops for n in range(1, min(len(stop), len(held) + 1)) if held.endswith(stop[:n]))
        safe = len(held) - max(beginnings, default=0)
        yield held[:safe]
        held = held[safe:]
    yield held
