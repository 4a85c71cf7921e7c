"""The grammar of tags that mark spans: which tag may follow which, and the most probable sequence that keeps to it.

Schemes: IOB1 (Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040), IOB2 (Tjong Kim Sang and Veenstra 1999,
arXiv:cs/9907006), and BIOES, also called IOBES, or BILOU, BMES and BMEWO with other letters. Axes: n words of one
sentence, k labels.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

Scheme: TypeAlias = Literal["IOB2", "IOB1", "BIOES"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

TAG = re.compile(r"(?P<letter>[BIESLUMW])(?:[-_](?P<type>.+))?", re.DOTALL)
ONE_MEANING = {"L": "E", "U": "S", "M": "I", "W": "S"}  # other letters, in BIOES
ALPHABETS = ("BIOES", "BILOU", "BMOES", "BMEOW")  # that mark the ends of spans
OUTSIDE = ("O", "_")  # of any span
SMALLEST = np.finfo(np.float64).tiny  # the logarithm of 0 is -inf, which is kept for what is forbidden


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """A tag's letter, one of B, I, O, E and S, and its type: "B-PER" is B, PER. L counts as E, U and W as S, M as I.

    A tag without a type has the type "_", as in seqeval; O, and all else that is in no span, has "".
    """
    match = TAG.fullmatch(tag)
    if match is None:
        return "O", ""
    return ONE_MEANING.get(match["letter"], match["letter"]), match["type"] or "_"


class Span(NamedTuple):
    kind: str
    start: int
    end: int  # the place after its last word


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """The spans that a sentence's tags mark, in order.

    In every scheme they are those of conlleval and of seqeval's default mode, also where the tags break the scheme's
    rules: an I-X that follows no X begins a span, and a span needs no E-X to end.
    """
    letter, kind, start = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        before, kind_before = letter, kind
        letter, kind = split_tag(tag)
        if kind != kind_before or letter in ("B", "S") or before in ("E", "S"):
            if kind_before:
                yield Span(kind_before, start, place)
            start = place


def find_scheme(sentences: Iterable[Sequence[str]]) -> Scheme | None:
    """The scheme of the training split's tags; None where they mark no spans, as parts of speech do.

    IOB1 and IOB2 share their tags, so the majority decides: of the spans that do not directly follow one of the same
    type, IOB1 begins each with I, IOB2 with B. A few wrong tags thus do not change the scheme. The scheme that has only
    I and O counts as IOB1.
    """
    letters: set[str] = set()
    first: Counter[str] = Counter()  # the letters that those spans begin with
    for tags in sentences:
        before = ""
        for tag in tags:
            letter, kind = split_tag(tag)
            if not kind and tag not in OUTSIDE:
                return None
            letters.add(tag[0] if kind else "O")
            first[letter] += kind not in ("", before)
            before = kind
    if letters <= {"O"}:
        return None
    if letters <= set("BIO"):
        return "IOB1" if first["I"] > first["B"] else "IOB2"
    if not any(letters <= set(alphabet) for alphabet in ALPHABETS):
        return None
    # Spans of several words have a B and an E, so other sets of letters are another scheme, such as IOE.
    several = letters & set("BIELM")
    return "BIOES" if not several or ("B" in several and several & set("EL")) else None


def title(scheme: Scheme, tags: Iterable[str]) -> str:
    """The usual name of a scheme with the letters of these tags: BIOES is also called BILOU, BMES or BMEWO."""
    letters = {tag[0] for tag in tags if split_tag(tag)[1]}
    others = {"BILOU": "LU", "BMEWO": "W", "BMES": "M"}
    return next((name for name, some in others.items() if letters & set(some)), scheme)


@dataclass(frozen=True, eq=False)
class Grammar:
    """Which labels a sentence may begin with, which may follow which, and which it may end with."""

    start: Bool[np.ndarray, " k"]
    transitions: Bool[np.ndarray, "k k"]  # [i, j]: whether j may follow i
    end: Bool[np.ndarray, " k"]

    @classmethod
    def of(cls, labels: Sequence[str], scheme: Scheme | None) -> "Grammar":
        """The scheme's grammar for these labels, in their order; without a scheme, all is allowed.

        A label that no sentence could contain, such as I-X of IOB2 where there is no B-X, is never allowed. In IOB1 B-X
        may begin any span where there is no I-X.
        """
        letters, types = map(np.array, zip(*map(split_tag, [*labels, "O"])))  # O: what a sentence is surrounded by
        allowed = _allowed(letters, types, scheme)
        return cls(allowed[-1, :-1], allowed[:-1, :-1], allowed[:-1, -1])

    def allows(self, numbers: Int[np.ndarray, " n"]) -> bool:
        """Whether a sentence may have these labels, given by their numbers."""
        if not len(numbers):
            return True
        inside = self.transitions[numbers[:-1], numbers[1:]].all()
        return bool(self.start[numbers[0]] and inside and self.end[numbers[-1]])

    def decode(self, probabilities: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
        """The allowed sequence of labels with the highest product of probabilities, as their numbers (Viterbi 1967,
        IEEE Trans. Information Theory 13:260). The first of equally probable labels counts.

        If each word's most probable label makes an allowed sequence, it is that one. It is also returned if no sequence
        of n words is allowed: BIOES without O and S has none for a single word. Decode the whole sentence even if the
        model reads it in parts: a part decoded by itself cannot continue a span of the one before.
        """
        guesses = probabilities.argmax(-1)
        if self.allows(guesses):
            return guesses
        scores = np.log(np.fmax(probabilities.astype(np.float64), SMALLEST))  # n k; fmax: NaN counts as 0 too
        forbidden = np.where(self.transitions.T, 0.0, -np.inf)  # to, from: the maximum is over neighbours in memory
        before = np.zeros(scores.shape, np.int64)  # n k: the best label of the word before
        best = np.where(self.start, scores[0], -np.inf)  # k: the log probability of the best sequence so far
        for i in range(1, len(scores)):
            paths = forbidden + best  # k k
            before[i] = paths.argmax(-1)
            best = np.take_along_axis(paths, before[i][:, None], -1)[:, 0] + scores[i]
        best = np.where(self.end, best, -np.inf)
        if best.max() == -np.inf:
            return guesses
        decoded = np.zeros_like(guesses)
        decoded[-1] = best.argmax()
        for i in range(len(decoded) - 1, 0, -1):
            decoded[i - 1] = before[i, decoded[i]]
        return decoded


def _allowed(letters: np.ndarray, types: np.ndarray, scheme: Scheme | None) -> Bool[np.ndarray, "k k"]:
    """[i, j]: whether tag j may follow tag i."""
    same = (types[:, None] == types) & (types != "")
    if scheme == "IOB2":
        return same | (letters != "I")
    if scheme == "IOB1":
        lone = ~np.isin(types, types[letters == "I"])  # types without an I
        return same | (letters != "B") | lone
    if scheme == "BIOES":
        unfinished, continues = np.isin(letters, ("B", "I"))[:, None], np.isin(letters, ("I", "E"))
        return (unfinished & continues & same) | ~(unfinished | continues)
    return np.ones(same.shape, bool)
