"""What became of each answer on a split, in one form for all tasks. Axes: n answers, k labels or targets.

An answer is a label, a word's tag, one of several labels, a number or a token. It gains something of what was
possible: the figure of any set of answers is the ratio of the two sums, which is accuracy, micro F1, mean absolute
error or nats a character.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Integer

from pipeline.config import paths
from pipeline.evaluation.metrics import TOKEN_GROUP

MOST = 1_000  # mistakes that are kept
KINDS = ("letters", "digits", "blanks", "signs", "letters and others")


class Measure(NamedTuple):
    name: str
    unit: str = ""
    is_share: bool = True  # of 0 to 1, and more of it is better; else less is


class Outcomes(NamedTuple):
    """Answers of one `group` are not independent. `pairs` counts the wrong answers by `truth` and `answer`, the most
    frequent first; there are none of numbers. `mistakes`, the worst first and not more than MOST, has the columns

    example  the row of the split's table
    row      the row of the table of predictions that evaluate wrote
    place    the word or token within the example; -1 where the answer is of the whole example
    output   which of the network's outputs is to be explained
    answer, truth, remark  for people
    """

    measure: Measure
    example: Int[np.ndarray, " n"]
    group: Int[np.ndarray, " n"]
    gained: Float[np.ndarray, " n"]
    possible: Float[np.ndarray, " n"]
    slices: dict[str, np.ndarray]  # what answers differ in, beside the traits of their example
    label: str | None  # the one of `slices` with the true label
    mistaken: int | None  # how many answers are wrong; None of numbers, which are never quite right
    pairs: pd.DataFrame | None
    mistakes: pd.DataFrame


def read(split: str) -> pd.DataFrame:
    """The table of predictions that evaluate wrote."""
    return pd.read_parquet(paths.EVALUATION / f"{split}.parquet")


def of_labels(
    labels: tuple[str, ...], probabilities: Float[np.ndarray, "n k"], targets: Integer[np.ndarray, " n"]
) -> Outcomes:
    """One label for each example."""
    guesses, names, rows = probabilities.argmax(-1), np.array(labels, object), np.arange(len(targets))
    confidence = probabilities[rows, guesses]
    wrong = _sorted(np.flatnonzero(guesses != targets), confidence)
    given, true = names[guesses], names[targets]
    top = wrong[:MOST]
    mistakes = _mistakes(top, -1, guesses[top], given[top], true[top], confidence[top])
    hits, column = (guesses == targets).astype(float), "true label"
    return Outcomes(
        Measure("accuracy"),
        rows,
        rows,
        hits,
        np.ones(len(rows)),
        {column: true},
        column,
        len(wrong),
        _pairs(true[wrong], given[wrong]),
        mistakes,
    )


def of_label_sets(
    labels: tuple[str, ...],
    probabilities: Float[np.ndarray, "n k"],
    guesses: Bool[np.ndarray, "n k"],
    targets: Bool[np.ndarray, "n k"],
    thresholds: Float[np.ndarray, " k"],
) -> Outcomes:
    """Any number of labels for each example. Labels that are neither given nor true are no answers."""
    names = np.array(labels, object)
    rows, of = np.nonzero(guesses | targets)
    given, true = guesses[rows, of], targets[rows, of]
    gaps = np.abs(probabilities - thresholds[None])[rows, of]
    wrong = _sorted(np.flatnonzero(given != true), gaps)
    top = wrong[:MOST]
    sets = np.array([", ".join(names[row]) or "no label" for row in targets[rows[top]]], object)
    answer = np.where(given[top], names[of[top]], "not " + names[of[top]])
    probability = probabilities[rows[top], of[top]]
    mistakes = _mistakes(rows[top], -1, of[top], answer, sets, np.where(given[top], probability, 1 - probability))
    gained, possible = 2.0 * (given & true), given + true.astype(float)
    kind = np.where(given[wrong], "given, but not true", "true, but not given").astype(object)
    pairs = _pairs(names[of[wrong]], kind)
    return Outcomes(
        Measure("micro F1"), rows, rows, gained, possible, {"label": names[of]}, "label", len(wrong), pairs, mistakes
    )


def of_numbers(
    titles: Sequence[str],
    unit: str,
    values: Float[np.ndarray, "n k"],
    targets: Float[np.ndarray, "n k"],
    std: Float[np.ndarray, " k"],
) -> Outcomes:
    """Numbers. The errors of one target are in its unit; of several, in standard deviations of each."""
    count, k = values.shape
    errors = np.abs(values - targets)
    gained = (errors / std[None] if k > 1 else errors).ravel()
    rows, of = np.divmod(np.arange(count * k), k)
    worst = np.argsort(-(errors / std[None]).ravel(), kind="stable")[:MOST]
    found, true = values.ravel()[worst], targets.ravel()[worst]
    mistakes = pd.DataFrame(
        {
            "example": rows[worst],
            "row": rows[worst],
            "place": -1,
            "output": of[worst],
            "answer": [f"{titles[i]} {value:.4g}" for i, value in zip(of[worst], found)],
            "truth": [f"{value:.4g}" for value in true],
            "remark": [f"off by {abs(a - b):.4g}" for a, b in zip(found, true)],
        }
    )
    slices = {"target": np.array(titles, object)[of]} if k > 1 else {"true value": targets.ravel()}
    measure = Measure("mean absolute error", unit if k == 1 else "standard deviations", is_share=False)
    return Outcomes(measure, rows, rows, gained, np.ones(len(rows)), slices, None, None, None, mistakes)


def of_words(words: pd.DataFrame, labels: tuple[str, ...], sentences: Int[np.ndarray, " s"]) -> Outcomes:
    """A tag for each word: its `label`, `prediction`, the prediction's `probability`, and whether it is `unseen`.
    `sentences` says where each begins among the words.
    """
    true, given = (words[name].to_numpy(object) for name in ("label", "prediction"))
    confidence, number = words["probability"].to_numpy(), {label: i for i, label in enumerate(labels)}
    sentence = np.searchsorted(sentences, np.arange(len(words)), side="right") - 1
    wrong = _sorted(np.flatnonzero(true != given), confidence)
    top = wrong[:MOST]
    place, outputs = top - sentences[sentence[top]], np.array([number[tag] for tag in given[top]], int)
    mistakes = _mistakes(sentence[top], place, outputs, given[top], true[top], confidence[top])
    mistakes["row"] = top
    hits, column = (true == given).astype(float), "true tag"
    return Outcomes(
        Measure("accuracy"),
        sentence,
        sentence,
        hits,
        np.ones(len(hits)),
        {column: true, "word": np.where(words["unseen"], "not in the training data", "known").astype(object)},
        column,
        len(wrong),
        _pairs(true[wrong], given[wrong]),
        mistakes,
    )


def of_tokens(
    tokens: pd.DataFrame, names: Sequence[str], spellings: Sequence[bytes], starts: Int[np.ndarray, " m"]
) -> Outcomes:
    """Tokens of long texts, as TokenLosses: `names` are for people, `spellings` what tokens stand for, `starts` says
    where documents begin. Neighbours are not independent: a thousand of a document form a group.
    """
    place, token, loss, guess, confidence = (
        tokens[name].to_numpy() for name in ("place", "token", "loss", "guess", "confidence")
    )
    document = np.searchsorted(starts, place, side="right") - 1
    within = place - starts[document]
    group = np.unique(document * (int(within.max()) // TOKEN_GROUP + 1) + within // TOKEN_GROUP, return_inverse=True)[1]
    wrong = _sorted(np.flatnonzero(guess != token), confidence)
    shown, top = np.array(names, object), wrong[:MOST]
    mistakes = _mistakes(document[top], within[top], guess[top], shown[guess[top]], shown[token[top]], confidence[top])
    mistakes["row"] = top
    # A character of several bytes is counted where it begins.
    characters = np.array([sum(byte & 0xC0 != 0x80 for byte in text) for text in spellings], float)[token]
    kinds = np.array([_kind(text.decode(errors="replace")) for text in spellings], object)[token]
    size = np.diff(starts)[document]
    quarter = np.minimum(4 * within // np.maximum(size, 1), 3)
    part = np.array(["first quarter", "second quarter", "third quarter", "last quarter"], object)[quarter]
    slices = {"token": kinds, "part of the document": part}
    measure = Measure("nats a character", is_share=False)
    pairs = _pairs(shown[token[wrong]], shown[guess[wrong]])
    return Outcomes(measure, document, group, loss.astype(float), characters, slices, None, len(wrong), pairs, mistakes)


def _kind(text: str) -> str:
    """What a token's characters are."""
    bare = text.strip()
    if not bare:
        return KINDS[2]
    if bare.isalpha():
        return KINDS[0]
    if bare.isdigit():
        return KINDS[1]
    return KINDS[4] if any(map(str.isalnum, bare)) else KINDS[3]


def _sorted(places: Int[np.ndarray, " _"], confidence: Float[np.ndarray, " n"]) -> Int[np.ndarray, " _"]:
    """The most confident first."""
    return places[np.argsort(-confidence[places], kind="stable")]


def _pairs(truth: np.ndarray, answer: np.ndarray) -> pd.DataFrame:
    counts = pd.DataFrame({"truth": truth, "answer": answer}).value_counts(sort=False).reset_index(name="count")
    return counts.sort_values(["count", "truth", "answer"], ascending=[False, True, True], ignore_index=True)


def _mistakes(example: np.ndarray, place: np.ndarray | int, output: np.ndarray, *texts: np.ndarray) -> pd.DataFrame:
    """`texts` are the answers, the truths, and the probability of each answer."""
    answer, truth, confidence = texts
    remark = [f"{100 * value:.1f} % sure" for value in confidence]
    columns = {"example": example, "row": example, "place": place, "output": output}
    return pd.DataFrame(columns | {"answer": answer, "truth": truth, "remark": remark})
