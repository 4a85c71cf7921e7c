"""Schemes of tags, and the most probable sequence that a scheme allows."""

from itertools import product

import numpy as np
import pytest

from pipeline.runtime.tag_grammar import Grammar, Scheme, find_scheme, split_tag, title

LABELS: dict[str, tuple[Scheme, list[str]]] = {
    "IOB2": ("IOB2", ["B-X", "B-Y", "I-X", "I-Y", "O"]),
    "IOB2, no O": ("IOB2", ["B-X", "B-Y", "I-X", "I-Y"]),
    "IOB2, an I without B": ("IOB2", ["I-Y", "O", "B-X", "I-X"]),
    "IOB1": ("IOB1", ["B-X", "I-X", "I-Y", "O"]),
    "IOB1, a B without I": ("IOB1", ["B-Y", "B-X", "I-X"]),
    "BIOES": ("BIOES", ["B-X", "E-X", "I-X", "O", "S-X"]),
    "BIOES, two types": ("BIOES", ["B-X", "E-X", "S-X", "B-Y", "E-Y"]),
    "BILOU": ("BIOES", ["B-X", "I-X", "L-X", "O", "U-Y"]),
    "no types": ("IOB2", ["B", "I", "O"]),
}


def is_well_formed(tags: list[str], scheme: Scheme) -> bool:
    """The schemes' definitions, each tag by its neighbours."""
    pairs = [split_tag(tag) for tag in ("O", *tags, "O")]
    for (before, kind_before), (letter, kind) in zip(pairs, pairs[1:]):
        continues = kind != "" and kind == kind_before
        if scheme == "IOB2" and letter == "I" and not continues:
            return False
        if scheme == "IOB1" and letter == "B" and not continues:
            return False
        if scheme == "BIOES" and (letter in ("I", "E")) != (before in ("B", "I")):
            return False
        if scheme == "BIOES" and letter in ("I", "E") and not continues:
            return False
    return True


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_it_is_the_best_of_all_sequences(name, n):
    scheme, labels = LABELS[name]
    grammar, random = Grammar.of(labels, scheme), np.random.default_rng(n)
    sequences = np.array(list(product(range(len(labels)), repeat=n)))
    if name != "IOB1, a B without I":  # whose B-Y may begin a span
        assert [grammar.allows(row) for row in sequences] == [
            is_well_formed([labels[i] for i in row], scheme) for row in sequences
        ]
    allowed = np.array([row for row in sequences if grammar.allows(row)])
    for _ in range(30):
        probabilities = random.dirichlet(np.full(len(labels), 0.5), n)
        best = allowed[np.log(probabilities)[np.arange(n), allowed].sum(-1).argmax()]
        np.testing.assert_array_equal(grammar.decode(probabilities), best)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_what_is_allowed_comes_out(name, dtype):
    """And the most probable labels do wherever they are allowed."""
    scheme, labels = LABELS[name]
    grammar, random = Grammar.of(labels, scheme), np.random.default_rng(0)
    kept = 0
    for n in [*[1, 2, 3] * 9, 30, 500]:
        probabilities = random.dirichlet(np.full(len(labels), 0.2), n).astype(dtype)
        probabilities[random.random(probabilities.shape) < 0.3] = 0
        numbers = grammar.decode(probabilities)
        assert numbers.shape == (n,)
        assert grammar.allows(numbers)
        if grammar.allows(probabilities.argmax(-1)):
            np.testing.assert_array_equal(numbers, probabilities.argmax(-1))
            kept += 1
    assert kept


def test_an_orphan_becomes_what_is_most_probable():
    grammar = Grammar.of(["B-X", "I-X", "O"], "IOB2")
    begins = np.array([[0.1, 0.2, 0.7], [0.4, 0.5, 0.1]])  # O I-X
    assert grammar.decode(begins).tolist() == [2, 0]
    continues = np.array([[0.4, 0.1, 0.5], [0.04, 0.9, 0.06]])
    assert grammar.decode(continues).tolist() == [0, 1]


@pytest.mark.parametrize("probability", [0.0, 0.25, float("nan")])
def test_equal_probabilities_give_the_first_labels_allowed(probability):
    grammar = Grammar.of(["I-X", "B-X", "O", "I-Y"], "IOB2")
    assert grammar.decode(np.full((3, 4), probability)).tolist() == [1, 0, 0]


def test_without_a_scheme_each_word_gets_its_most_probable_label():
    probabilities = np.random.default_rng(0).random((50, 7))
    grammar = Grammar.of(["NN", "VB", "I-X", "B-Y", "O", "E-Z", "S"], None)
    np.testing.assert_array_equal(grammar.decode(probabilities), probabilities.argmax(-1))
    assert grammar.decode(np.zeros((0, 7))).tolist() == []


def test_where_nothing_is_allowed_each_word_gets_its_most_probable_label():
    grammar = Grammar.of(["B-X", "E-X"], "BIOES")  # marks spans of two words
    assert grammar.decode(np.array([[0.3, 0.7]])).tolist() == [1]
    assert grammar.decode(np.array([[0.3, 0.7], [0.6, 0.4]])).tolist() == [0, 1]


def test_many_labels_and_a_long_sentence():
    """58 types in BIOES."""
    labels = [f"{letter}-{number}" for number in range(58) for letter in "BIES"]
    grammar = Grammar.of(labels, "BIOES")
    numbers = grammar.decode(np.random.default_rng(0).random((256, len(labels))).astype(np.float32))
    assert is_well_formed([labels[i] for i in numbers], "BIOES")


@pytest.mark.parametrize(
    ("scheme", "sentences"),
    [
        ("IOB2", ["O B-X I-X O", "B-Y"]),
        ("IOB2", ["B-PER", "B-LOC B-LOC"]),
        ("IOB2", ["B I O", "O B"]),
        ("IOB2", ["B-X I-X", "O B-X", "O I-X"]),  # one orphan
        ("IOB2", ["B-X I-X B-X I-X B-X I-X"]),
        ("IOB1", ["O I-X I-X O", "I-X B-X I-X", "I-Y"]),
        ("IOB1", ["I-X I-Y", "O B-X"]),  # one B too many
        ("IOB1", ["I-X I-X B-X I-X B-X B-X B-X"]),  # where most begin with B
        ("IOB1", ["O I O", "I I"]),
        ("BIOES", ["B-X I-X E-X O", "S-Y"]),
        ("BIOES", ["B-X E-X", "O"]),
        ("BIOES", ["S-X O", "O S-Y"]),
        ("BIOES", ["B-X I-X L-X O U-X"]),
        ("BIOES", ["B E", "S"]),
        ("BIOES", ["B M E S", "B E"]),
        ("BIOES", ["B-X M-X E-X O W-Y"]),
        ("IOB2", ["B_X I_X _ _", "B_Y"]),
        (None, ["NN VB", "NN I-X B-X O"]),
        (None, ["O O", "O"]),
        (None, ["O I-X E-X"]),  # IOE
        (None, ["B-X O", "O E-X U-X"]),
        (None, ["B-X I-X O S-X"]),
        (None, ["PER-B PER-I O"]),
        (None, ["B- O"]),
        (None, ["", "O"]),
    ],
)
def test_the_scheme_of_the_training_tags(scheme, sentences):
    assert find_scheme(sentence.split(" ") for sentence in sentences) == scheme


def test_a_scheme_is_called_by_its_letters():
    names = {"BILOU": "B-X L-X O", "BMES": "B M E S", "BMEWO": "B-X M-X E-X W-X O", "BIOES": "B-L E-L O"}
    assert {title("BIOES", tags.split(" ")): tags for tags in names.values()} == names
    assert title("IOB1", ["I-X", "O"]) == "IOB1"


def test_the_parts_of_a_tag():
    tags = ["B-PER", "I-A-B", "L-X", "U-X", "E", "O", "NN", "B-"]
    letters = [("B", "PER"), ("I", "A-B"), ("E", "X"), ("S", "X"), ("E", "_"), ("O", ""), ("O", ""), ("O", "")]
    assert list(map(split_tag, tags)) == letters
