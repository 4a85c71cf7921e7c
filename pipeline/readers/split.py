"""Which examples are held out, and which are left out because a held-out split has them too.

The split is a function of an example's own content, less case, digits and punctuation: so near duplicates never
straddle it, and adding rows never moves old ones. What the source says of its own splits and groups comes first.
"""

import hashlib
from typing import Annotated, NamedTuple

from pydantic import Field

from pipeline.config.params import Section
from pipeline.readers import Example

HELD_OUT = ("test", "shifted", "validation")  # the most precious first: an example in two of them stays in the first
Share = Annotated[float, Field(gt=0, lt=0.5)]


class Split(Section):
    """Which share of the examples is held out, where the source does not say which."""

    validation: Share
    test: Share | None = None


class Row(NamedTuple):
    """What is remembered of an example to place it."""

    identity: str  # of its exact content
    kin: bytes  # of its content less case, digits and punctuation, or of its group
    normal: bytes
    label: str
    given: str | None  # the split that the source puts it in
    whole: bool  # it is a sentence, and such recur by nature


def row(example: Example) -> Row:
    """An example's identity and kin."""
    content = example.content
    if isinstance(content, bytes):
        exact = plain = example.key if example.key is not None else content
    elif isinstance(content, str):
        exact, plain = content.encode(), normalize_text(content).encode()
    else:
        exact, plain = "\n".join(content).encode(), "\n".join(content).casefold().encode()
    identity, normal = hashlib.sha256(exact).hexdigest()[:32], hashlib.sha256(plain).digest()[:16]
    kin = normal if example.group is None else hashlib.sha256(b"group " + example.group.encode()).digest()[:16]
    label = example.label if isinstance(example.label, str) else "\n".join(example.label)
    return Row(identity, kin, normal, label, example.split, not isinstance(content, bytes | str))


def normalize_text(text: str) -> str:
    """The letters of a text, in lower case, word by word; the text itself where it has none."""
    return " ".join(text.casefold().translate(LETTERS).split()) or text


class _Letters(dict[int, int]):
    """Each letter's code; a space's for all else."""

    def __missing__(self, code: int) -> int:
        found = self[code] = code if chr(code).isalpha() else ord(" ")
        return found


LETTERS = _Letters()


def assign(rows: list[Row], split: Split) -> list[tuple[str | None, str]]:
    """The split of each row; or None, and why it is dropped."""
    own = {row.given for row in rows}
    chosen = [_choose(row, split, own) for row in rows]
    result: list[tuple[str | None, str]] = [(name, "") for name in chosen]
    exact: dict[str, int] = {}  # identity -> the first row with it
    normal: dict[bytes, str] = {}
    for name in (*HELD_OUT, "train"):
        for i, row in enumerate(rows):
            if chosen[i] != name:
                continue
            first = exact.setdefault(row.identity, i)
            elsewhere = normal.setdefault(row.normal, name)
            if chosen[first] != name:
                result[i] = (None, f"in {name}, and the same in {chosen[first]}")
            elif elsewhere != name:
                result[i] = (None, f"in {name}, and nearly the same in {elsewhere}")
            elif first != i and not row.whole:
                other = "" if rows[first].label == row.label else ", with another label"
                result[i] = (None, f"twice in {name}{other}")
    return result


def _choose(row: Row, split: Split, own: set[str | None]) -> str:
    if row.given in HELD_OUT:
        return str(row.given)
    share = int.from_bytes(row.kin[:8], "big") / 2**64
    validation = 0.0 if "validation" in own else split.validation
    test = 0.0 if "test" in own else split.test or 0.0
    if share < validation:
        return "validation"
    return "test" if share < validation + test else "train"
