"""Which examples are held out, and which are dropped because they are duplicates.

The split is a hash of an example's own content, of a text of its letters alone, ignoring case: near-duplicates are
never separated, and adding examples never moves old ones, unless classes are stratified. Splits and groups that the
source defines come first.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, Int8, UInt8

from pipeline.readers.example import Refused
from pipeline.readers.keys import SOURCE_SPLITS, KeyTable

HELD_OUT = ("test", "shifted", "validation")  # an example found in several of these is kept in the first
SPLITS = (*HELD_OUT, "train")
TEST, VALIDATION, TRAIN = map(SPLITS.index, ("test", "validation", "train"))
DROPPED = -1
UNLABELLED = "in {}, a split without labels"
NO_SPLIT = {UNLABELLED.format(name) for name in HELD_OUT}
MOVED = "no other example of its class would be trained on"


class Placement(NamedTuple):
    split: str | None  # None: dropped
    reason: str = ""  # why it is dropped, or why it is trained on though its hash would hold it out


class Placements:
    """A Placement for each example, as numbers."""

    def __init__(self, chosen: Int8[np.ndarray, " n"]) -> None:
        self.splits = chosen.copy()  # places in SPLITS, or DROPPED
        self.reasons = [""]
        self.reason_numbers = np.zeros(len(chosen), np.int8)  # places in `reasons`

    def __len__(self) -> int:
        return len(self.splits)

    def __getitem__(self, row: int) -> Placement:
        place = self.splits[row]
        return Placement(None if place == DROPPED else SPLITS[place], self.reasons[self.reason_numbers[row]])

    def __iter__(self) -> Iterator[Placement]:
        return map(self.__getitem__, range(len(self)))

    def give_reason(self, rows: Bool[np.ndarray, " n"], reason: str) -> None:
        if rows.any():
            self.reason_numbers[rows] = len(self.reasons)
            self.reasons.append(reason)

    def drop(self, rows: Bool[np.ndarray, " n"], reason: str) -> None:
        self.splits[rows] = DROPPED
        self.give_reason(rows, reason)


def unlabelled(examples: KeyTable, learns: str | None) -> set[str]:
    """The held-out splits of the source whose labels are all missing, though not those of its other examples: nothing
    can be tested on them.
    """
    labelled = np.unique(examples.source_splits[~examples.is_unlabelled])
    hidden = np.setdiff1d(examples.source_splits, labelled) if learns and len(labelled) else ()
    return {str(SOURCE_SPLITS[place]) for place in hidden} & set(HELD_OUT)


def settle(refused: Iterable[Refused], examples: KeyTable) -> Iterator[Refused]:
    """The refused items. Those of a held-out split none of whose examples has a label are refused as UNLABELLED."""
    labelled = {SOURCE_SPLITS[place] for place in np.unique(examples.source_splits)} | {"train", None}
    for item in refused:
        is_hidden = item.unlabelled not in labelled
        yield Refused(item.where, UNLABELLED.format(item.unlabelled), item.unlabelled) if is_hidden else item


def assign(
    examples: KeyTable, *, validation: float, test: float, learns: str | None, stratify: bool = False
) -> Placements:
    """The split of each example, or why it is dropped. `validation` and `test` are the shares of the examples that are
    held out where the source does not define that split; `learns` is what the task learns, None for the text itself. A
    class of which every example would be held out by its hash is trained on instead: nothing could be learnt of it, nor
    tested.

    An example found in two splits is kept in one: test first, then shifted, validation, train. Near-duplicates with
    different labels are two examples.
    """
    hidden = unlabelled(examples, learns)
    defined = {SOURCE_SPLITS[place] for place in np.unique(examples.source_splits)} - hidden
    validation = 0.0 if "validation" in defined else validation
    test = 0.0 if "test" in defined else test
    chosen = (_by_class if stratify else _by_hash)(examples, validation, test)
    for name in HELD_OUT:
        chosen[examples.source_splits == SOURCE_SPLITS.index(name)] = SPLITS.index(name)
    moved = _to_train(examples, chosen) if learns in ("label", "labels") else np.zeros(len(examples), bool)
    chosen[moved] = TRAIN
    placements = Placements(chosen)
    placements.give_reason(moved, MOVED)
    for name in sorted(hidden):
        rows = examples.source_splits == SOURCE_SPLITS.index(name)
        placements.drop(rows, UNLABELLED.format(name))
        chosen[rows] = DROPPED
    _drop_duplicates(examples, chosen, placements, learns)
    return placements


def _drop_duplicates(
    examples: KeyTable, chosen: Int8[np.ndarray, " n"], placements: Placements, learns: str | None
) -> None:
    order = np.argsort(chosen, kind="stable")  # the most precious first, and those of a split as they were read
    order = order[np.searchsorted(chosen[order], 0) :]  # without what is dropped already
    first = _first_equal(examples.ids, order)
    labels = examples.labels if learns else np.zeros(len(examples), np.int64)
    near = np.concatenate([examples.near_keys, labels[:, None].view(np.uint8)], axis=1)  # n 28
    first_split = chosen[first]
    near_split = chosen[_first_equal(near, order)]
    is_first = first == np.arange(len(first))
    identical, nearly = first_split != chosen, near_split != chosen
    repeated = ~(identical | nearly | is_first | examples.may_repeat) & (chosen != DROPPED)
    other_label = examples.labels != examples.labels[first]
    for place, name in enumerate(SPLITS):
        here = chosen == place
        for before, other in enumerate(SPLITS[:place]):
            placements.drop(here & (first_split == before), f"in {name}, identical to one in {other}")
            placements.drop(
                here & ~identical & (near_split == before), f"in {name}, nearly identical to one in {other}"
            )
        placements.drop(here & repeated & ~other_label, f"repeated in {name}")
        placements.drop(here & repeated & other_label, f"repeated in {name}, with another label")


def _first_equal(keys: UInt8[np.ndarray, "n k"], order: Int[np.ndarray, " m"]) -> Int[np.ndarray, " n"]:
    """For each of the rows in `order`, the first of them with the same key; for any other row, itself."""
    codes, _ = _encode(keys[order])
    is_first = np.ones(len(codes), bool)
    is_first[1:] = codes[1:] > np.maximum.accumulate(codes)[:-1]
    first = np.arange(len(keys))
    first[order] = order[is_first][codes]
    return first


def count_distinct(keys: UInt8[np.ndarray, "n k"]) -> int:
    return len(_encode(keys)[1])


def _encode(keys: UInt8[np.ndarray, "n k"]) -> tuple[Int[np.ndarray, " n"], UInt8[np.ndarray, "d k"]]:
    """A number for each key, from 0 in the order in which they first occur, and the different keys in this order."""
    rows, size = keys.shape
    buffer = pa.py_buffer(np.ascontiguousarray(keys))
    encoded = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), rows, [None, buffer]).dictionary_encode()
    distinct = np.frombuffer(encoded.dictionary.buffers()[1], np.uint8)[: size * len(encoded.dictionary)]
    return encoded.indices.to_numpy(), distinct.reshape(-1, size)


def _to_train(examples: KeyTable, chosen: Int8[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """The held-out examples with a class that no training example has, and the others of their groups; none that the
    source itself holds out.
    """
    sets = list(examples.class_sets)
    trained = {name for number in np.unique(examples.classes[chosen == TRAIN]) for name in sets[number]}
    lacking = np.array([not trained.issuperset(classes) for classes in sets], bool)
    movable = (chosen != TRAIN) & ~_held_out_by_source(examples)
    rows = np.flatnonzero(movable)
    codes, groups = _encode(examples.split_keys[rows])
    moved_groups = np.zeros(len(groups), bool)
    moved_groups[codes[lacking[examples.classes[rows]]]] = True
    movable[rows] = moved_groups[codes]
    return movable


def _held_out_by_source(examples: KeyTable) -> Bool[np.ndarray, " n"]:
    return np.isin(examples.source_splits, [SOURCE_SPLITS.index(name) for name in HELD_OUT])


def _by_class(examples: KeyTable, validation: float, test: float) -> Int8[np.ndarray, " n"]:
    """The split of each example: of the split keys of a class, in order, the first go to validation, the next to test,
    so that each class has its share in each. What has several labels counts under its rarest.
    """
    free = np.flatnonzero(~_held_out_by_source(examples))
    codes, keys = _encode(examples.split_keys[free])
    of_set, sets = examples.classes[free], list(examples.class_sets)
    counts: Counter[str] = Counter()
    for number, count in enumerate(np.bincount(of_set, minlength=len(sets)).tolist()):
        for name in sets[number]:
            counts[name] += count
    by_rarity = sorted(counts, key=lambda name: (counts[name], name))
    rank = {name: place for place, name in enumerate(by_rarity)}
    by_rarity.append("")  # what has no class
    of_set_rank = np.array([min((rank[name] for name in classes), default=len(rank)) for classes in sets])
    rarest = np.full(len(keys), len(by_rarity))
    np.minimum.at(rarest, codes, of_set_rank[of_set])
    high, low = keys.view(">u8").T
    order = np.lexsort((low, high, rarest))
    starts = np.searchsorted(rarest[order], np.arange(len(by_rarity) + 1))
    chosen_of_key = np.full(len(keys), TRAIN, np.int8)
    for name, first, end in zip(by_rarity, starts, starts[1:]):
        # Rounded up in some classes and down in others, so that many small ones together have their share too.
        digest = np.frombuffer(hashlib.sha256(b"class " + name.encode()).digest(), np.uint8)
        start = float(_positions(digest[None])[0])
        few, more = (math.floor((end - first) * share + start) for share in (validation, validation + test))
        chosen_of_key[order[first : min(first + few, end)]] = VALIDATION
        chosen_of_key[order[first + few : min(first + more, end)]] = TEST
    chosen = np.full(len(examples), TRAIN, np.int8)
    chosen[free] = chosen_of_key[codes]
    return chosen


def _by_hash(examples: KeyTable, validation: float, test: float) -> Int8[np.ndarray, " n"]:
    positions = _positions(examples.split_keys)
    chosen = np.full(len(examples), TRAIN, np.int8)
    chosen[positions < validation + test] = TEST
    chosen[positions < validation] = VALIDATION
    return chosen


def _positions(keys: UInt8[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """For each key a number that is uniform in [0, 1)."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8")[:, 0] / 2.0**64
