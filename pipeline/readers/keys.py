"""What of an example decides its split and tells duplicates: hashes of its content, its label, and where it belongs."""

import hashlib
import unicodedata
import zlib
from array import array
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from pipeline.readers.example import Example, Label, Split

SOURCE_SPLITS: tuple[Split | None, ...] = (
    None,
    "train",
    "validation",
    "test",
    "shifted",
)  # what a source may say of a split
NO_LABELS = {"", "-1", "-1.0", "?", "_", "-", "none", "null", "nan", "n/a", "unknown", "unlabeled", "unlabelled"}


class Keys(NamedTuple):
    """What is kept of an example to choose its split."""

    id: str  # hash of the exact content, 32 hexadecimal digits
    near_key: bytes  # equal for near-duplicates, 20 bytes
    split_key: bytes  # decides the split: a hash of the letters, or of the group, 16 bytes
    label: str
    classes: tuple[str, ...]  # its label, or its labels; none where these are tags or numbers
    is_unlabelled: bool  # its label is a placeholder for a missing one
    source_split: Split | None  # the split that the source puts it in
    may_repeat: bool  # sentences occur more than once by nature


class KeyTable:
    """The keys of many examples, in columns: 65 bytes an example, where Python's objects would take 500."""

    def __init__(self, examples: Iterable[Keys] = ()) -> None:
        self._ids, self._near_keys, self._split_keys = bytearray(), bytearray(), bytearray()
        self._labels, self._classes, self._flags = array("q"), array("i"), bytearray()
        self.class_sets: dict[tuple[str, ...], int] = {}  # each different `classes`, and its number
        for one in examples:
            self.add(one)

    def __len__(self) -> int:
        return len(self._flags)

    def add(self, one: Keys) -> None:
        self._ids += bytes.fromhex(one.id)
        self._near_keys += one.near_key
        self._split_keys += one.split_key
        self._labels.append(hash(one.label))
        self._classes.append(self.class_sets.setdefault(one.classes, len(self.class_sets)))
        self._flags.append(SOURCE_SPLITS.index(one.source_split) << 2 | one.is_unlabelled << 1 | one.may_repeat)

    @property
    def ids(self) -> UInt8[np.ndarray, "n 16"]:
        return np.frombuffer(self._ids, np.uint8).reshape(-1, 16)

    @property
    def near_keys(self) -> UInt8[np.ndarray, "n 20"]:
        return np.frombuffer(self._near_keys, np.uint8).reshape(-1, 20)

    @property
    def split_keys(self) -> UInt8[np.ndarray, "n 16"]:
        return np.frombuffer(self._split_keys, np.uint8).reshape(-1, 16)

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Numbers that are equal for equal labels."""
        return np.frombuffer(self._labels, np.int64)

    @property
    def classes(self) -> Int[np.ndarray, " n"]:
        """The number in `class_sets` of each example's classes."""
        return np.frombuffer(self._classes, np.int32)

    @property
    def source_splits(self) -> UInt8[np.ndarray, " n"]:
        """The place in SOURCE_SPLITS of each example's split in the source."""
        return np.frombuffer(self._flags, np.uint8) >> 2

    @property
    def is_unlabelled(self) -> Bool[np.ndarray, " n"]:
        return (np.frombuffer(self._flags, np.uint8) & 2).astype(bool)

    @property
    def may_repeat(self) -> Bool[np.ndarray, " n"]:
        return (np.frombuffer(self._flags, np.uint8) & 1).astype(bool)


def of(example: Example, duplicates: Literal["near", "exact"] = "near") -> Keys:
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
    split_key = hashlib.sha256(letters).digest()[:16]
    near_key = split_key + zlib.crc32(found).to_bytes(4, "big")
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
