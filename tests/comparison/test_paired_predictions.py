"""What evaluate writes of each task is compared, and its metrics are those that evaluate prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.comparison import pairing, predictions
from pipeline.evaluation.comparison.predictions import Predictions
from pipeline.runtime.errors import UserError
from pipeline.tasks import TASKS

IDS = [f"{i:032x}" for i in range(4)]


def classes(labels: str = "aabb", guesses: str = "abbb", **columns: Any) -> pd.DataFrame:
    likely = [0.9 if guess == "a" else 0.2 for guess in guesses]
    table = pd.DataFrame({"id": IDS, "source": "x.csv", "label": list(labels), "prediction": list(guesses)})
    return table.assign(**{"probability of a": likely, "probability of b": 1 - np.array(likely)} | columns)


def names_and_values(found: Predictions) -> dict[str, float]:
    return {measure.name: measure.value for measure in found.measures}


@pytest.mark.slow
@pytest.mark.xdist_group("packages")
def test_metrics_are_those_of_evaluate(four_packages: list[Path]) -> None:
    """Of classes, of words and of texts; of several labels and of numbers, see tests/stages/test_tasks.py."""
    wanted: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {
        "images": lambda m: {"accuracy": m["accuracy"], "macro F1": m["macro_f1"], "log loss": m["loss"]},
        "texts": lambda m: {"accuracy": m["accuracy"], "macro F1": m["macro_f1"], "log loss": m["loss"]},
        "tags": lambda m: {"span F1": m["span_f1"], "accuracy": m["accuracy"]},
        "writer": lambda m: {"nats a character": m["nats_per_character"]},
    }
    for package in four_packages:
        folder = package.parent
        task = json.loads((folder / "data/features/task.json").read_text())["name"]
        found = TASKS[task].compared(lambda name, top=folder: pd.read_parquet(top / "evaluation" / name), "test")
        figures = json.loads((folder / "metrics/details.json").read_text())["test"]
        assert names_and_values(found) == pytest.approx(wanted[folder.name](figures), rel=1e-5), folder.name
        if len(found.rows) > 1:
            same = pairing.compare([found], [found], ["a", "b"])
            assert same.headline.difference == 0


def test_fixed_and_broken_by_hand():
    a, b = predictions.of_classes(classes("aabb", "abba")), predictions.of_classes(classes("aabb", "aaba"))
    found = pairing.compare([a], [b], ["a", "b"])
    assert found.fixed.tolist() == [1]
    assert found.broken.tolist() == []
    assert found.headline.difference == 0.25
    assert found.parts[["name", "rows", "fixed", "broken"]].to_numpy().tolist() == [["a", 2, 1, 0], ["b", 2, 0, 0]]


def test_pairs_by_id_in_any_order():
    a = predictions.of_classes(classes())
    mixed = predictions.of_classes(classes().iloc[[3, 1, 0, 2]].reset_index(drop=True))
    found = pairing.compare([a], [mixed], ["a", "b"])
    assert not found.fixed.size
    assert not found.broken.size
    assert not found.note


def test_one_set_of_examples_inside_the_other():
    a, b = predictions.of_classes(classes()), predictions.of_classes(classes().iloc[1:].reset_index(drop=True))
    for sides in ((a, b), (b, a)):
        found = pairing.compare([sides[0]], [sides[1]], ["a", "b"])
        assert found.note == "on the 3 examples that all have, of up to 4"
        assert found.headline.a == found.headline.b == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": [*IDS[:3], "other"]}, "b were tested on other data: of 4 and 4 examples they share 3"),
        ({"label": list("aaba")}, "1 of 4 examples have another true answer, such as x.csv: 'b' and 'a'"),
        ({"probability of c": [0.0] * 4}, "choose from other labels: none in the first alone, 'c' in the second"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    a, b = predictions.of_classes(classes()), predictions.of_classes(classes(**change))
    with pytest.raises(UserError, match=message):
        pairing.compare([a], [b], ["a", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"probability of a": [0.9, 0.2, 0.7, 0.2]},
            r"the probabilities of 1 examples do not add up to 1 \(row 2: 1.5\)",
        ),
        ({"probability of a": [0.9, 0.2, np.nan, 0.2]}, "of 1 examples do not add up"),
        ({"label": list("aabz")}, "a label has no column of probabilities"),
    ],
)
def test_damaged_tables_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        predictions.of_classes(classes(**change))


def test_an_empty_split_is_refused():
    with pytest.raises(UserError, match="b: the test split is empty"):
        pairing.compare([predictions.of_classes(classes())], [predictions.of_classes(classes().iloc[:0])], ["a", "b"])


def test_an_older_table_is_refused():
    with pytest.raises(UserError, match="no column 'source': another version"):
        predictions.of_classes(classes().drop(columns="source"))


def test_examples_of_a_group_are_drawn_together():
    found = predictions.of_classes(classes(group=list("xxyz")))
    assert found.cluster == "example"  # few groups say little of others
    many = pd.concat(
        [classes().assign(id=IDS + np.array([str(i)]), group=str(i)) for i in range(12)], ignore_index=True
    )
    found = predictions.of_classes(many)
    assert found.cluster == "group"
    assert len(set(found.rows["cluster"])) == 12


def test_a_sentence_that_was_cut_otherwise_is_the_same():
    """By max_length, which only says how many words the model reads at once."""
    words = {"id": ["s"] * 6 + ["t"] * 2, "source": "x", "label": list("OBIOBIBI"), "prediction": list("OBIOBIBO")}
    tags = {name: [f"{tag}-X" if tag != "O" else tag for tag in words[name]] for name in ("label", "prediction")}
    table = pd.DataFrame(words | tags | {"probability": 0.9})
    whole = predictions.of_words(table.assign(place=[*range(6), 0, 1]))
    cut = predictions.of_words(table.assign(place=[0, 1, 2, 3, 0, 1, 0, 1]))
    assert names_and_values(whole) == names_and_values(cut) == pytest.approx({"span F1": 2 / 3, "accuracy": 7 / 8})
    found = pairing.compare([whole], [cut], ["a", "b"])
    assert found.clusters == 2


def test_several_labels_and_numbers_by_hand():
    table = pd.DataFrame(
        {
            "id": IDS,
            "source": "x",
            "labels": [["a"], ["a", "b"], [], ["b"]],
            "prediction": [["a"], ["a"], [], ["a"]],
            "probability of a": 0.5,
            "probability of b": 0.5,
        }
    )
    values = names_and_values(predictions.of_label_sets(table))
    assert values["micro F1"] == pytest.approx(4 / 7)
    assert values["all labels right"] == 0.5
    assert values["log loss"] == pytest.approx(np.log(2))
    numbers = pd.DataFrame({"id": IDS, "source": "x", "true x": [1.0, 2, 3, 4], "predicted x": [1.0, 2, 3, 8]})
    assert names_and_values(predictions.of_numbers(numbers)) == {"MAE": 1.0, "RMSE": 2.0}
    with pytest.raises(UserError, match="not finite"):
        predictions.of_numbers(numbers.assign(**{"predicted x": np.nan}))


@pytest.mark.parametrize(("documents", "cluster"), [(3, "passage"), (12, "document")])
def test_texts_are_compared_by_document_where_there_are_enough(documents, cluster):
    rows = [
        {"id": f"d{d}", "source": f"d{d}.txt", "passage": i, "characters": 1_000, "nats": 1_500.0}
        for d in range(documents)
        for i in range(2)
    ]
    found = predictions.of_passages(pd.DataFrame(rows))
    assert found.cluster == cluster
    assert names_and_values(found) == {"nats a character": 1.5}
