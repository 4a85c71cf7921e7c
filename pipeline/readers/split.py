"""Which examples are held out, and which are dropped because they are duplicates.

The split is a hash of an example's own content, of a text of its letters alone, ignoring case: near-duplicates are
never separated, and adding examples never moves old ones, unless classes are stratified. Splits and groups that the
source defines come first.
"""

import hashlib
import math
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from pipeline.readers.example import Example, Label, Refused, Split

HELD_OUT = ("test", "shifted", "validation")  # an example found in several of these is kept in the first
SPLITS = (*HELD_OUT, "train")
UNLABELLED = "in {}, a split without labels"
NO_SPLIT = {UNLABELLED.format(name) for name in HELD_OUT}
NO_LABELS = {"", "-1", "-1.0", "?", "_", "-", "none", "null", "nan", "n/a", "unknown", "unlabeled", "unlabelled"}


class Keys(NamedTuple):
    """What is kept of an example to choose its split."""

    id: str  # hash of the exact content
    near_key: bytes  # equal for near-duplicates
    split_key: bytes  # decides the split: a hash of the letters, or of the group
    label: str
    classes: tuple[str, ...]  # its label, or its labels; none where these are tags or numbers
    is_unlabelled: bool  # its label is a placeholder for a missing one
    source_split: Split | None  # the split that the source puts it in
    may_repeat: bool  # sentences occur more than once by nature


class Placement(NamedTuple):
    split: str | None  # None: dropped
    reason: str = ""  # why it is dropped, or why it is trained on though its hash would hold it out


def keys(example: Example, duplicates: Literal["near", "exact"] = "near") -> Keys:
    """The hashes of an example that decide its split."""
    content, found = example.content, b""
    if isinstance(content, bytes):
        exact = letters = example.key if example.key is not None else content
    elif isinstance(content, str):
        exact = letters = content.encode()
        if duplicates == "near" and content.isascii():
            letters, found = b" ".join(exact.translate(ASCII).split()) or exact, signs(exact)
        elif duplicates == "near":
            text = unicodedata.normalize("NFC", content)
            letters, found = normalize_text(text).encode(), signs(text.casefold().encode())
    else:
        exact = letters = "\n".join(content).encode()
        if duplicates == "near":
            letters = unicodedata.normalize("NFC", "\n".join(content).casefold()).encode()
    near_key = split_key = hashlib.sha256(letters).digest()[:16]
    if found:
        near_key += zlib.crc32(found).to_bytes(4, "big")
    if example.group is not None:
        split_key = hashlib.sha256(b"group " + example.group.encode()).digest()[:16]
    return Keys(
        id=hashlib.sha256(exact).hexdigest()[:32],
        near_key=near_key,
        split_key=split_key,
        label=example.label if isinstance(example.label, str) else repr(example.label),
        classes=_classes(example),
        is_unlabelled=_is_unlabelled(example.label),
        source_split=example.split,
        may_repeat=not isinstance(content, bytes | str),
    )


def _classes(example: Example) -> tuple[str, ...]:
    if isinstance(example.label, str):
        return (example.label,)
    return example.label if isinstance(example.label, tuple) and isinstance(example.content, bytes | str) else ()


def _is_unlabelled(label: Label) -> bool:
    if isinstance(label, str):
        return label.casefold() in NO_LABELS
    if isinstance(label, dict):
        return all(value == -1 for value in label.values())
    return all(name.casefold() in NO_LABELS for name in label)


def unlabelled(examples: Sequence[Keys], learns: str | None) -> set[str]:
    """The held-out splits of the source whose labels are all missing, though not those of its other examples: nothing
    can be tested on them.
    """
    found = {str(example.source_split) for example in examples if example.source_split in HELD_OUT}
    labelled = {str(example.source_split) for example in examples if not example.is_unlabelled}
    return found - labelled if learns and labelled else set()


def settle(refused: Iterable[Refused], examples: Sequence[Keys]) -> Iterator[Refused]:
    """The refused items. Those of a held-out split none of whose examples has a label are refused as UNLABELLED."""
    labelled = {example.source_split for example in examples} | {"train", None}
    for item in refused:
        is_hidden = item.unlabelled not in labelled
        yield Refused(item.where, UNLABELLED.format(item.unlabelled), item.unlabelled) if is_hidden else item


def normalize_text(text: str) -> str:
    """The letters of a text in lower case, word by word; a text without letters is returned as it is."""
    return " ".join(text.casefold().translate(LETTERS).split()) or text


def signs(content: bytes) -> bytes:
    """The signs that distinguish texts with the same letters, in order: vowel signs, symbols, emoji; and emoticons."""
    found = content.translate(None, PLAIN)
    if not found:
        return found
    faces = [
        eyes + part[:2]
        for eyes in EYES
        if eyes in content
        for part in content.split(eyes)[1:]
        if part[:1] in MOUTHS or (part[:1] in NOSES and part[1:2] in MOUTHS)
    ]
    found = found.translate(None, BRACKETS)
    if not found.isascii():
        found = found.decode().translate(SIGNS).encode()
    return b"".join((found, *faces))


class _Kept(dict[int, int | None]):
    """For str.translate: keeps characters of some categories of Unicode; all others become `instead`."""

    def __init__(self, categories: str, also: bytes = b"", instead: int | None = None) -> None:
        self.categories, self.also, self.instead = categories, also, instead

    def __missing__(self, code: int) -> int | None:
        kept = unicodedata.category(chr(code))[0] in self.categories or (code < 128 and code in self.also)
        self[code] = code if kept else self.instead
        return self[code]


SYMBOLS = b"#%&*/@\\$+<=>^`|~"  # C++, C#, a < b; Unicode counts the first seven as punctuation
BRACKETS = b"()[]{}"
PLAIN = bytes(code for code in range(128) if code not in SYMBOLS + BRACKETS)
EYES, NOSES, MOUTHS = (b":", b";", b"="), set(map(bytes, zip(b"-o*'^"))), set(map(bytes, zip(BRACKETS + b"|\\@")))
LETTERS = _Kept("L", instead=ord(" "))
ASCII = bytes(ord(chr(code).lower()) if chr(code).isalpha() else ord(" ") for code in range(128)) + bytes(128)
SIGNS = _Kept("MS", SYMBOLS)
SIGNS.update(dict.fromkeys(range(0xFE00, 0xFE10)))  # variants of an emoji are the same one


def assign(
    examples: Sequence[Keys], *, validation: float, test: float, learns: str | None, stratify: bool = False
) -> list[Placement]:
    """The split of each example, or why it is dropped. `validation` and `test` are the shares of the examples that are
    held out where the source does not define that split; `learns` is what the task learns, None for the text itself. A
    class of which every example would be held out by its hash is trained on instead: nothing could be learnt of it, nor
    tested.

    An example found in two splits is kept in one: test first, then shifted, validation, train. Near-duplicates with
    different labels are two examples.
    """
    hidden = unlabelled(examples, learns)
    source_splits = {example.source_split for example in examples} - hidden
    validation = 0.0 if "validation" in source_splits else validation
    test = 0.0 if "test" in source_splits else test
    by_class = _by_class(examples, validation, test) if stratify else {}
    chosen: list[str] = [
        UNLABELLED.format(example.source_split)
        if example.source_split in hidden
        else str(example.source_split)
        if example.source_split in HELD_OUT
        else by_class.get(example.split_key) or _by_hash(_position(example.split_key), validation, test)
        for example in examples
    ]
    moved = _to_train(examples, chosen) if learns in ("label", "labels") else set()
    for i in moved:
        chosen[i] = "train"
    result = [
        Placement(name, "no other example of its class would be trained on" if i in moved else "")
        if name in SPLITS
        else Placement(None, name)
        for i, name in enumerate(chosen)
    ]
    first_with_id: dict[str, int] = {}
    split_of_near_key: dict[tuple[bytes, str], str] = {}
    for name in SPLITS:
        for i, example in enumerate(examples):
            if chosen[i] != name:
                continue
            first = first_with_id.setdefault(example.id, i)
            near = (example.near_key, example.label if learns else "")
            near_split = split_of_near_key.setdefault(near, name)
            if chosen[first] != name:
                result[i] = Placement(None, f"in {name}, identical to one in {chosen[first]}")
            elif near_split != name:
                result[i] = Placement(None, f"in {name}, nearly identical to one in {near_split}")
            elif first != i and not example.may_repeat:
                other_label = "" if examples[first].label == example.label else ", with another label"
                result[i] = Placement(None, f"repeated in {name}{other_label}")
    return result


def _to_train(examples: Sequence[Keys], chosen: list[str]) -> set[int]:
    """The places of held-out examples with a class that no training example has, and of the others of their groups;
    none that the source itself holds out.
    """
    trained = {name for example, split in zip(examples, chosen) if split == "train" for name in example.classes}
    movable = [i for i, example in enumerate(examples) if chosen[i] != "train" and example.source_split not in HELD_OUT]
    groups = {examples[i].split_key for i in movable if not trained.issuperset(examples[i].classes)}
    return {i for i in movable if examples[i].split_key in groups}


def _by_class(examples: Sequence[Keys], validation: float, test: float) -> dict[bytes, str]:
    """The split of each key: of the keys of a class, in the order of their hashes, the first go to validation, the next
    to test, so that each class has its share in each. What has several labels counts under its rarest.
    """
    free = [example for example in examples if example.source_split not in HELD_OUT]
    counts = Counter(name for example in free for name in example.classes)
    rarest: dict[bytes, tuple[float, str]] = {}
    for example in free:
        for name in example.classes or ("",):
            one = (counts[name] if example.classes else math.inf, name)
            rarest[example.split_key] = min(one, rarest.get(example.split_key, one))
    classes: dict[str, list[bytes]] = defaultdict(list)
    for key, (_, name) in rarest.items():
        classes[name].append(key)
    chosen: dict[bytes, str] = {}
    for name, keys in classes.items():
        # Rounded up in some classes and down in others, so that many small ones together have their share too.
        start = _position(hashlib.sha256(b"class " + name.encode()).digest())
        first, second = (math.floor(len(keys) * share + start) for share in (validation, validation + test))
        for i, key in enumerate(sorted(keys)):
            chosen[key] = "validation" if i < first else "test" if i < second else "train"
    return chosen


def _position(key: bytes) -> float:
    """A number that is uniform in [0, 1)."""
    return int.from_bytes(key[:8], "big") / 2**64


def _by_hash(position: float, validation: float, test: float) -> str:
    if position < validation:
        return "validation"
    return "test" if position < validation + test else "train"
