"""What examples are like, in a few lines for people: labels, lengths, sizes, splits, what is left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from pipeline.inspection.sample import Observation
from pipeline.readers.example import Label

LABELS = 8  # that are listed
LONGEST = 60  # characters of a label


def label_counts(labels: Sequence[Label]) -> Counter[str]:
    """How often each label occurs; numbers are not counted."""
    counts: Counter[str] = Counter()
    for label in labels:
        counts.update([label] if isinstance(label, str) else [] if isinstance(label, dict) else label)
    return counts


def numbers(seen: Sequence[Observation]) -> list[str]:
    """The range of each number that is to be learnt."""
    rows = [one.label for one in seen if isinstance(one.label, dict)]
    return [_number(name, [row[name] for row in rows]) for name in (rows[0] if rows else ())]


def balance(counts: Mapping[str, int], word: str) -> str:
    """How many labels there are, and how frequent: the most frequent and the rarest."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    first = ordered if len(ordered) <= LABELS else ordered[: LABELS - 2]
    text = ", ".join(f"{_short(label)} {count:,}" for label, count in first)
    if len(ordered) > LABELS:
        text += f", ... {_short(ordered[-1][0])} {ordered[-1][1]:,}"
    return f"{len(ordered):,} {word}: {text}"


def _short(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def _number(name: str, values: Sequence[float]) -> str:
    return f"{name}: {min(values):g} to {max(values):g}, median {median(values):g}"


def sizes(seen: Sequence[Observation]) -> str:
    """The sizes of images, or the lengths of texts and sentences."""
    pictures = [one.picture for one in seen if one.picture]
    if not pictures:
        words = sorted(one.words for one in seen)
        middle, long = words[len(words) // 2], words[int(0.95 * (len(words) - 1))]
        total = sum(one.characters for one in seen)
        return f"words: median {middle:,}, 95th percentile {long:,}, longest {words[-1]:,}; {total:,} characters in all"
    kinds = Counter((p.width, p.height) for p in pictures)
    colour = "grey" if all(p.is_grey is not False for p in pictures) else "colour"
    transparent = sum(p.is_transparent for p in pictures)
    notes = f"{colour}, {transparent:,} with transparency" if transparent else colour
    if len(kinds) == 1:
        ((width, height),) = kinds
        return f"all {width} x {height} pixels, {notes}"
    widths, heights = zip(*kinds)
    middle = f"{median(p.width for p in pictures):g} x {median(p.height for p in pictures):g}"
    return (
        f"{min(widths)} to {max(widths)} pixels wide, {min(heights)} to {max(heights)} high, median {middle}, {notes}"
    )


def left_out(reasons: Mapping[str, tuple[int, str]]) -> list[str]:
    """How many were left out for each reason, with the first place."""
    return [f"{count:,}: {reason}, such as {where}" for reason, (count, where) in sorted(reasons.items())]
