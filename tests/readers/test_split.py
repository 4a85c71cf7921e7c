"""What is held out depends on the content alone; nothing stands on both sides."""

from collections import Counter
from typing import Any

import pytest
from sources import peak_memory

from pipeline.readers import Example, keys, split
from pipeline.readers.keys import Keys, KeyTable
from pipeline.readers.split import Placement

SHARES: dict[str, Any] = {"validation": 0.2, "test": 0.2, "learns": "label"}


def letters(n: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in str(n))


def assign(rows: list[Keys], **options: Any) -> list[Placement]:
    return list(split.assign(KeyTable(rows), **options))


def texts(*items: tuple[str, ...]) -> list[Keys]:
    """Rows of (text, label, the source's split)."""
    return [keys.of(Example("here", text, label, given or None)) for text, label, given in items]  # type: ignore[arg-type]


MANY = [(f"text {letters(i)}", "x", "") for i in range(1_000)]


def test_shares_are_about_right_and_adding_rows_moves_none():
    few, all_of_them = assign(texts(*MANY[::2]), **SHARES), assign(texts(*MANY), **SHARES)
    assert all_of_them[::2] == few
    for name, share in (("validation", 0.2), ("test", 0.2), ("train", 0.6)):
        assert abs(sum(at == name for at, _ in all_of_them) / 1_000 - share) < 0.05


def test_what_is_kept_of_an_example_is_small():
    """Of a hundred thousand: ten million must fit into the memory of a small machine."""
    imports = "from pipeline.readers import Example, keys\nfrom pipeline.readers.keys import KeyTable"
    examples = "Example(f'row {i}', f'text {i} ' * 20, 'x') for i in range(100_000)"
    count, peak = peak_memory(imports, f"len(KeyTable(keys.of(one) for one in ({examples})))")
    assert count == 100_000
    assert peak < 100 * count


def test_near_duplicates_never_straddle():
    pairs = [(f"{text.upper()}... {i}!", "x", "") for i, (text, _, _) in enumerate(MANY)]
    placed = assign(texts(*MANY, *pairs), **SHARES)
    assert all(a == b for (a, _), (b, _) in zip(placed[:1_000], placed[1_000:]))


def test_groups_never_part():
    rows = [keys.of(Example("here", text, "x", group=str(i % 30))) for i, (text, _, _) in enumerate(MANY)]
    placed = assign(rows, **SHARES)
    for group in range(30):
        assert len({name for name, _ in placed[group::30]}) == 1


def test_the_sources_own_splits_are_kept():
    given = ["test"] * 10 + ["validation"] * 10 + ["train"] * 980
    rows = [(text, label, name) for (text, label, _), name in zip(MANY, given)]
    names = [name for name, _ in assign(texts(*rows), **SHARES)]
    assert names == given


@pytest.mark.parametrize(
    ("one", "other", "which", "reason"),
    [
        (("a b", "x", "train"), ("a b", "x", "test"), 0, "in train, identical to one in test"),
        (("A, b!", "x", "train"), ("a b", "x", "test"), 0, "in train, nearly identical to one in test"),
        (("a b", "x", "test"), ("a b", "x", "shifted"), 1, "in shifted, identical to one in test"),
        (("a b", "x", "validation"), ("a b", "y", "test"), 0, "in validation, identical to one in test"),
        (("a b", "x", "train"), ("a b", "x", "train"), 1, "repeated in train"),
        (("a b", "x", "test"), ("a b", "y", "test"), 1, "repeated in test, with another label"),
    ],
)
def test_duplicates_are_dropped_from_what_is_less_held_out(one, other, which, reason):
    placed = assign(texts(one, other), **SHARES)
    assert placed[which] == (None, reason)
    assert placed[1 - which][0] is not None


def test_of_many_copies_the_most_precious_stays():
    rows = [("a b", "x", given) for given in ("train", "validation", "shifted", "test", "train", "test")]
    placed = assign(texts(*rows), **SHARES)
    assert [name for name, _ in placed] == [None, None, None, "test", None, None]
    assert placed[5] == (None, "repeated in test")
    assert all(reason.endswith("identical to one in test") for _, reason in [*placed[:3], placed[4]])


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Great film!", "great film, 10", True),
        ("the café is open", "THE CAFE\u0301 is open.", True),  # composed and not
        ("İstanbul", "i̇stanbul", True),
        ("I \u2764\ufe0f it", "i \u2764 it", True),  # variants of an emoji
        ("see http://a.b (c)", "see http://a.b: c", True),
        ("कि", "का", False),  # vowel signs
        ("so good 👍", "so good 👎", False),
        ("so good :)", "so good :-(", False),
        ("C++ is best", "C# is best", False),
        ("a < b holds", "a > b holds", False),
        ("12 + 7", "3 + 4", False),  # without letters, a text is itself
    ],
)
def test_what_is_nearly_the_same(one, other, near):
    first, second = texts((one, "x", ""), (other, "x", ""))
    assert (first.near_key == second.near_key) == near
    exact = [keys.of(Example("here", text, "x"), "exact") for text in (one, other)]
    assert exact[0].near_key != exact[1].near_key
    assert [name for name, _ in assign(texts((one, "x", "train"), (other, "y", "test")), **SHARES)] == ["train", "test"]


def test_classes_have_their_share():
    """Whatever the order of the examples; near-duplicates and groups stay together, and few are moved by more."""
    counts = {"a": 700, "b": 100, "c": 30, **{f"rare {letters(i)}": 3 for i in range(50)}}
    rows = [keys.of(Example("here", f"{kind} {letters(i)}", kind)) for kind, n in counts.items() for i in range(n)]
    placed = assign(rows, **SHARES, stratify=True)
    found = Counter((row.label, place.split) for row, place in zip(rows, placed))
    assert [found[kind, "test"] for kind in "abc"] == [140, 20, 6]
    assert abs(sum(found[f"rare {letters(i)}", "validation"] for i in range(50)) - 30) < 12
    assert all(found[kind, "train"] for kind in counts)
    assert assign(rows[::-1], **SHARES, stratify=True)[::-1] == placed
    fewer = assign(rows[1:], **SHARES, stratify=True)
    assert sum(a != b for a, b in zip(fewer, placed[1:])) <= 2


def test_what_was_dropped_as_nearly_the_same_lets_nothing_back_in():
    rows = [("A b!", "x", "validation"), ("a b", "x", "test"), ("A b!", "y", "train")]
    assert [name for name, _ in assign(texts(*rows), **SHARES)] == [None, "test", None]


def test_a_duplicate_in_another_group_is_dropped():
    rows = [keys.of(Example("here", "the same text", "x", group=str(i))) for i in range(50)]
    names = [name for name, _ in assign(rows, **SHARES)]
    assert [name for name in names if name] == ["test"]


def test_images_are_equal_by_their_key_or_by_their_bytes():
    def image(content: bytes, key: bytes | None, given: str) -> Keys:
        return keys.of(Example("here", content, "x", given, key=key))  # type: ignore[arg-type]

    rows = [image(b"one", b"k", "train"), image(b"two", b"k", "test"), image(b"two", None, "train")]
    assert [name for name, _ in assign(rows, **SHARES)] == [None, "test", "train"]
    rows = [image(b"AB", None, "train"), image(b"ab", None, "test")]
    assert [name for name, _ in assign(rows, **SHARES)] == ["train", "test"]


def test_near_duplicates_within_a_split_stay():
    assert [name for name, _ in assign(texts(("a", "x", "train"), ("A!", "x", "train")), **SHARES)] == ["train"] * 2


def test_sentences_may_recur_within_a_split_but_not_across():
    def sentence(given: str) -> Keys:
        return keys.of(Example("here", ("Yes", "."), ("UH", "."), given))  # type: ignore[arg-type]

    assert [name for name, _ in assign([sentence("test"), sentence("test")], **SHARES)] == ["test"] * 2
    assert [name for name, _ in assign([sentence("train"), sentence("test")], **SHARES)] == [None, "test"]


def test_a_text_without_letters_is_itself():
    assert keys.normalize_text("12 34") == "12 34"
    assert keys.normalize_text("Ä1b") == "ä b"
    assert keys.normalize_text("中文!") == "中文"


def test_a_class_too_rare_to_be_held_out_is_trained_on():
    rare = [(f"rare {letters(i)}", f"class {letters(i)}", "") for i in range(40)]  # one example each
    placed = assign(texts(*MANY, *rare), **SHARES)
    assert [name for name, _ in placed[1_000:]] == ["train"] * 40
    moved = sum(bool(reason) for _, reason in placed)
    assert 5 < moved < 30  # those that the hash would have held out
    assert placed[:1_000] == assign(texts(*MANY), **SHARES)
    kept = assign(texts(*MANY, *rare), **{**SHARES, "learns": "tags"})
    assert sum(name != "train" for name, _ in kept[1_000:]) == moved


def test_of_several_labels_each_is_trained_on():
    rows = [
        keys.of(Example("here", f"text {letters(i)}", ("common", *([f"rare {i}"] if i < 9 else [])))) for i in range(99)
    ]
    placed = assign(rows, **SHARES)
    assert [name for name, _ in placed[:9]] == ["train"] * 9
    assert {name for name, _ in placed[9:]} == {"train", "validation", "test"}


def test_what_the_source_holds_out_stays_held_out_and_groups_stay_together():
    given = [(text, label, "test") for text, label, _ in MANY[:3]] + [("alone", "rare", "test")]
    placed = assign(texts(*given, *MANY[3:]), **SHARES)
    assert placed[3] == ("test", "")
    labels = ["rare"] + ["x"] * 999
    rows = [
        keys.of(Example("here", text, label, group=str(i % 5)))
        for i, ((text, _, _), label) in enumerate(zip(MANY, labels))
    ]
    placed = assign(rows, **SHARES)
    assert placed[0].split == "train"
    assert {name for name, _ in placed[::5]} == {"train"}
