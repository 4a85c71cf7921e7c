"""What a model said of a test split, row by row, in the form that any two of a task are compared in.

Each function reads one form of evaluate's tables. Axes: n rows (examples, words or passages), k labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from pipeline.evaluation.comparison import measures
from pipeline.evaluation.comparison.measures import Measure
from pipeline.runtime.errors import UserError
from pipeline.runtime.tag_grammar import find_scheme, spans

ENOUGH_GROUPS = 10  # fewer say little of other groups: then what lies in them is drawn by itself
PROBABILITY = "probability of "

Read: TypeAlias = Callable[[str], pd.DataFrame]  # a table of evaluate's folder, by its name


@dataclass(frozen=True)
class Part:
    """Which class, or document, a row belongs to, and how wrong the model is about it: rows may have several."""

    row: Int[np.ndarray, " l"]
    name: Any  # l, of strings
    wrong: Float[np.ndarray, " l"]


@dataclass(frozen=True)
class Predictions:
    unit: str  # what a row is
    cluster: str  # what is drawn anew: rows of one cluster are not independent
    rows: pd.DataFrame  # key, cluster, source, true, answer
    wrong: Float[np.ndarray, " n"]  # 0 or 1, or how far off the answer is
    doubt: Float[np.ndarray, " n"]  # of equally wrong rows, how improbable the true answer was
    graded: bool  # whether `wrong` is a distance, not only 0 or 1
    measures: tuple[Measure, ...]  # the headline, then the others
    labels: tuple[str, ...]  # that both models must choose from
    part_name: str  # what the parts are of: "class" or "document"
    part: Part

    def take(self, rows: Int[np.ndarray, " m"]) -> "Predictions":
        """These rows, in this order: each at most once."""
        place = np.full(len(self.rows), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.part.row] >= 0
        part = Part(place[self.part.row][kept], self.part.name[kept], self.part.wrong[kept])
        return replace(
            self,
            rows=self.rows.iloc[rows].reset_index(drop=True),
            wrong=self.wrong[rows],
            doubt=self.doubt[rows],
            measures=tuple(measure.take(rows) for measure in self.measures),
            part=part,
        )


def of_classes(table: pd.DataFrame) -> Predictions:
    """One label an example, with the probability of each. Raises UserError where these are none."""
    labels, probabilities = _probabilities(table, "label", "prediction")
    totals = probabilities.sum(axis=1)
    if (bad := np.flatnonzero(~(np.abs(totals - 1) < 1e-3))).size:
        sums = f"row {bad[0]:,}: {totals[bad[0]]:g}"
        raise UserError(f"the probabilities of {len(bad):,} examples do not add up to 1 ({sums})")
    number = pd.Index(labels)
    targets, guesses = (number.get_indexer(table[column].tolist()) for column in ("label", "prediction"))
    if (targets < 0).any() or (guesses < 0).any():
        raise UserError("a label has no column of probabilities")
    hits = targets == guesses
    losses = -np.log(np.maximum(probabilities[np.arange(len(targets)), targets], np.finfo(float).eps))
    return Predictions(
        unit="example",
        rows=_rows(table, "example", table["label"], table["prediction"]),
        cluster=_cluster(table, "example"),
        wrong=1.0 - hits,
        doubt=losses,
        graded=False,
        measures=(
            measures.share("accuracy", hits),
            measures.macro_f1(guesses, targets, len(labels)),
            measures.mean("log loss", losses),
        ),
        labels=labels,
        part_name="class",
        part=Part(np.arange(len(hits)), table["label"].to_numpy(str), 1.0 - hits),
    )


def of_label_sets(table: pd.DataFrame) -> Predictions:
    """Any number of labels an example. Raises UserError."""
    labels, probabilities = _probabilities(table, "labels", "prediction")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise UserError("some probabilities are not between 0 and 1")
    true, guessed = (_one_hot(table[column], labels) for column in ("labels", "prediction"))
    p = np.clip(np.where(true, probabilities, 1 - probabilities), np.finfo(float).eps, 1.0)
    losses, exact = -np.log(p).sum(axis=1), (true == guessed).all(axis=1)
    right = true & guessed
    n, k = true.shape
    return Predictions(
        unit="example",
        rows=_rows(table, "example", *(table[column].map(", ".join) for column in ("labels", "prediction"))),
        cluster=_cluster(table, "example"),
        wrong=1.0 - exact,
        doubt=losses,
        graded=False,
        measures=(
            measures.micro_f1("micro F1", *(x.sum(axis=1) for x in (right, guessed, true))),
            measures.macro_f1_of_many(guessed, true),
            measures.share("all labels right", exact),
            measures.mean("log loss", losses / k),
        ),
        labels=labels,
        part_name="label",
        part=Part(np.repeat(np.arange(n), k), np.tile(np.array(labels), n), (true != guessed).ravel().astype(float)),
    )


def of_numbers(table: pd.DataFrame) -> Predictions:
    """One or several numbers an example. Raises UserError."""
    names = [str(name).removeprefix("true ") for name in table.columns if str(name).startswith("true ")]
    _require(table, "source", *(f"predicted {name}" for name in names), *([] if names else ["true ..."]))
    true, values = (table[[f"{what} {name}" for name in names]].to_numpy(float) for what in ("true", "predicted"))
    if not np.isfinite(values).all():
        raise UserError("some predicted numbers are not finite")
    errors = np.abs(values - true)
    listed = ([", ".join(f"{x:.4g}" for x in row) for row in of] for of in (true, values))
    scaled = (errors / np.maximum(true.std(axis=0), 1e-12)).mean(axis=1)
    found = []
    if len(names) > 1:
        found.append(measures.mean("error in standard deviations", scaled))
    for i, name in enumerate(names):
        title = f" of {name}" if len(names) > 1 else ""
        found.append(measures.mean(f"MAE{title}", errors[:, i]))
        found.append(measures.mean(f"RMSE{title}", errors[:, i] ** 2, root=True))
    return Predictions(
        unit="example",
        rows=_rows(table, "example", *listed),
        cluster=_cluster(table, "example"),
        wrong=scaled,
        doubt=scaled,
        graded=True,
        measures=tuple(found),
        labels=tuple(names),
        part_name="target",
        part=Part(np.repeat(np.arange(len(true)), len(names)), np.tile(np.array(names), len(true)), errors.ravel()),
    )


def of_words(table: pd.DataFrame) -> Predictions:
    """One tag a word; the words of a sentence are a cluster. Raises UserError."""
    _require(table, "id", "source", "place", "label", "prediction", "probability")
    hits = (table["label"] == table["prediction"]).to_numpy()
    sentence = table["id"].to_numpy(str)
    found = [measures.share("accuracy", hits)]
    tags = [table[column].to_numpy(str) for column in ("label", "prediction")]
    starts = np.flatnonzero(np.append(True, sentence[1:] != sentence[:-1]))  # a cut sentence is whole again
    actual, predicted = ([part.tolist() for part in np.split(of, starts[1:])] for of in tags)
    if find_scheme(actual):
        counts = np.zeros((len(table), 3))
        counts[starts] = [_spans(*pair) for pair in zip(actual, predicted)]  # at the sentence's first word
        found.insert(0, measures.micro_f1("span F1", *counts.T))
    probability = table["probability"].to_numpy(float)
    return Predictions(
        unit="word",
        rows=_rows(table, "sentence", *tags),
        cluster=_cluster(table, "sentence"),
        wrong=1.0 - hits,
        doubt=np.where(hits, -probability, probability),
        graded=False,
        measures=tuple(found),
        labels=(),
        part_name="tag",
        part=Part(np.arange(len(sentence)), tags[0], 1.0 - hits),
    )


def of_passages(table: pd.DataFrame) -> Predictions:
    """The loss of texts, cut into passages. Raises UserError."""
    _require(table, "id", "source", "passage", "characters", "nats")
    nats, characters = table["nats"].to_numpy(float), table["characters"].to_numpy(float)
    if not np.isfinite(nats).all():
        raise UserError("some losses are not finite")
    rate = nats / np.maximum(characters, 1)
    document = table["id"].to_numpy(str)
    shown = [f"{x:.3f}" for x in rate]
    rows = _rows(table, "passage", [""] * len(table), shown)
    rows["source"] = [f"{source}, passage {i + 1}" for source, i in zip(table["source"], table["passage"])]
    is_many = len(set(document)) >= ENOUGH_GROUPS
    rows["cluster"] = document if is_many else rows["key"]
    return Predictions(
        unit="passage",
        rows=rows,
        cluster="document" if is_many else "passage",
        wrong=rate,
        doubt=rate,
        graded=True,
        measures=(measures.mean("nats a character", nats, characters),),
        labels=(),
        part_name="document",
        part=Part(np.arange(len(table)), table["source"].to_numpy(str), rate),
    )


def _spans(actual: list[str], predicted: list[str]) -> tuple[int, int, int]:
    """How many spans of a sentence are right, are predicted and are there."""
    true, guessed = set(spans(actual)), set(spans(predicted))
    return len(true & guessed), len(guessed), len(true)


def _rows(table: pd.DataFrame, cluster: str, true: Any, answer: Any) -> pd.DataFrame:
    """The key of a row is its example's id and, of several rows with it, which one: rows are in order."""
    ids = table["id"].astype(str)
    key = ids + "/" + table.groupby("id").cumcount().astype(str)
    found = pd.DataFrame({"key": key, "source": table["source"], "true": list(true), "answer": list(answer)})
    found["cluster"] = key if cluster in ("example", "passage") else ids
    if _is_grouped(table):
        found["cluster"] = "group " + table["group"].astype(str)
        alone = table["group"].isna()
        found.loc[alone, "cluster"] = ids[alone]
    return found.reset_index(drop=True)


def _cluster(table: pd.DataFrame, alone: str) -> str:
    return "group" if _is_grouped(table) else alone


def _is_grouped(table: pd.DataFrame) -> bool:
    return "group" in table and bool(len(table["group"].dropna().unique()) >= ENOUGH_GROUPS)


def _probabilities(table: pd.DataFrame, *columns: str) -> tuple[tuple[str, ...], Float[np.ndarray, "n k"]]:
    found = [str(name) for name in table.columns if str(name).startswith(PROBABILITY)]
    _require(table, "id", "source", *columns, *([] if found else [f"{PROBABILITY}..."]))
    return tuple(name.removeprefix(PROBABILITY) for name in found), table[found].to_numpy(np.float64)


def _one_hot(sets: Any, labels: Sequence[str]) -> Bool[np.ndarray, "n k"]:
    number, rows = {label: i for i, label in enumerate(labels)}, np.zeros((len(sets), len(labels)), bool)
    for row, of_row in zip(rows, sets):
        row[[number[label] for label in of_row]] = True
    return rows


def _require(table: pd.DataFrame, *columns: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"no column {missing[0]!r}: another version of this project wrote it")
