"""What the page says of failures: classes, confusions, slices, mistakes, doubted labels."""

from collections import Counter
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from pipeline.config import paths
from pipeline.config.networks import NetworkSettings
from pipeline.evaluation import sources
from pipeline.evaluation.dataset import traits
from pipeline.evaluation.failures.outcomes import Measure, Outcomes
from pipeline.evaluation.failures.slices import FEW
from pipeline.evaluation.failures.tables import Failures
from pipeline.evaluation.predictor import Predictor, Tree
from pipeline.evaluation.report import examples, wording

CLASSES = 20  # in the table, at most, and in the confusion matrix
PAIRS, SLICES, MISTAKES, DOUBTS = 10, 12, 12, 8


class Slice(NamedTuple):
    by: str
    value: str
    answers: int
    figure: str
    interval: str
    few: bool
    bar: float  # of 100


class Shown(NamedTuple):
    """An example with what is wrong about it."""

    answer: str
    truth: str
    remark: str
    source: str
    place: str  # which word of it; "" for the whole
    body: Markup


class Matrix(NamedTuple):
    labels: list[str]
    rows: list[list[tuple[int, float]]]  # counts, and their shares of all answers with this true label
    is_part: bool  # whether there are more labels


def classes(failures: Failures) -> list[dict[str, Any]]:
    """The labels from evaluate's table of them, the worst first, with the interval of what is found of each."""
    path = paths.EVALUATION / "per_class_test.csv"
    label = failures.outcomes.label
    if label is None or not path.exists():
        return []
    table = pd.read_csv(path, dtype={"label": str}, keep_default_na=False)
    of = failures.slices[failures.slices["by"] == label].set_index("value")
    rows = []
    for row in table.to_dict("records"):
        known = of.loc[row["label"]] if row["label"] in of.index else None
        is_recall = known is not None and abs(known[failures.outcomes.measure.name] - row["recall"]) < 1e-4
        low, high = (known["low"], known["high"]) if is_recall and known is not None else (None, None)
        rows.append(row | {"interval": wording.span(low, high, is_share=True), "few": row["examples"] < FEW})
    return sorted(rows, key=lambda row: (row["few"], row["f1"]))


def matrix(outcomes: Outcomes) -> Matrix | None:
    """How often each label is taken for each other, of the most confused ones; None where labels exclude no other."""
    if outcomes.label not in ("true label", "true tag") or outcomes.pairs is None:
        return None
    totals = Counter(outcomes.slices[outcomes.label].tolist())
    counts = {(row["truth"], row["answer"]): int(row["count"]) for row in outcomes.pairs.to_dict("records")}
    missed, errors = Counter[str](), Counter[str]()
    for (truth, answer), count in counts.items():
        missed[truth] += count
        errors.update({truth: count, answer: count})
    every = sorted(set(totals) | set(errors), key=lambda name: (-errors[name], name))
    names = sorted(every[:CLASSES])
    rows = []
    for truth in names:
        row = [totals[truth] - missed[truth] if truth == answer else counts.get((truth, answer), 0) for answer in names]
        rows.append([(count, count / max(totals[truth], 1)) for count in row])
    return Matrix(names, rows, len(every) > len(names))


def pairs(outcomes: Outcomes) -> list[dict[str, Any]]:
    """The most frequent wrong answers, each with its share of all."""
    if outcomes.pairs is None:
        return []
    total = int(outcomes.pairs["count"].to_numpy().sum())
    return [row | {"share": row["count"] / max(total, 1)} for row in outcomes.pairs.head(PAIRS).to_dict("records")]


def slices(failures: Failures) -> list[Slice]:
    """All slices but the labels, the worst first, by the better end of the interval."""
    measure, label = failures.outcomes.measure, failures.outcomes.label
    rows = [row for row in failures.slices.to_dict("records") if row["by"] != label]
    most = 1.0 if measure.is_share else max((row[measure.name] for row in rows), default=1.0)
    return [_slice(row, measure, most) for row in rows]


def _slice(row: dict[Any, Any], measure: Measure, most: float) -> Slice:
    figure = float(row[measure.name])
    return Slice(
        row["by"],
        row["value"],
        row["answers"],
        wording.figure(figure, is_share=measure.is_share, unit=measure.unit),
        wording.span(row["low"], row["high"], is_share=measure.is_share),
        row["few"],
        100 * figure / most if figure > 0 and most > 0 else 0.0,
    )


def mistakes(predictor: Predictor, tree: Tree, network: NetworkSettings, outcomes: Outcomes) -> tuple[str, list[Shown]]:
    """How to read the explanations, and the worst mistakes, explained."""
    table = outcomes.mistakes.head(MISTAKES)
    if not len(table):
        return "", []
    legend, bodies = examples.explained(predictor, tree, network, table)
    kind = traits.content("test")
    places = sources.examples("test", table["example"].tolist(), ["source"])
    return legend, [
        Shown(row["answer"], row["truth"], row["remark"], place["source"], _place(row["place"], kind), body)
        for row, place, body in zip(table.to_dict("records"), places, bodies)
    ]


def doubts() -> tuple[int, list[Shown]]:
    """How many labels of the test split are doubted, and the first ones."""
    path = paths.EVALUATION / "label_errors_test.csv"
    if not path.exists():
        return 0, []
    text: Any = dict.fromkeys(("id", "source", "given", "suggested"), str)
    table = pd.read_csv(path, dtype=text, keep_default_na=False)
    first = table.head(DOUBTS)
    kind = traits.content("test")
    row_of = {one["id"]: number for number, one in enumerate(traits.read("test", ["id"]))} if len(first) else {}
    found = sources.examples("test", [row_of[one] for one in first["id"]], [kind])
    return len(table), [_doubted(row, one[kind], kind) for row, one in zip(first.to_dict("records"), found)]


def _doubted(row: dict[Any, Any], content: Any, kind: str) -> Shown:
    place = int(row["place"])
    body = examples.plain(content) if place < 0 else examples.sentence(content, place)
    return Shown(row["suggested"], row["given"], "", row["source"], _place(place, kind), body)


def _place(place: int, kind: str) -> str:
    return f"{'word' if kind == 'words' else 'token'} {place + 1:,}" if place >= 0 else ""
