"""Tagged sentences as arrays: labels are the training split's, and the baseline is a word's most frequent tag there."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import paths
from pipeline.config.preprocessing import WordPreprocessing
from pipeline.encoding import tags, words
from pipeline.tasks.sequence_tagging import SequenceTagging

SETTINGS = WordPreprocessing(vocabulary=100, lowercase=False, max_length=3, word_length=4)
TRAIN = [("the/DT dog/NN runs/VB"), ("a/DT run/NN"), ("run/VB run/NN ./."), ("the/DT dog/NN the/DT dog/NN ./.")]
TEST = [("the/DT cat/NN"), ("uh/UH run/VB eek/UH oh/OW")]


@pytest.fixture(autouse=True)
def _tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    for split, sentences in (("train", TRAIN), ("validation", TRAIN[:1]), ("test", TEST)):
        pairs = [[token.rsplit("/", 1) for token in sentence.split()] for sentence in sentences]
        columns = {
            "id": [f"{split}-{i}" for i in range(len(pairs))],
            "words": [[word for word, _ in sentence] for sentence in pairs],
            "label": [[tag for _, tag in sentence] for sentence in pairs],
        }
        pq.write_table(pa.table(columns), paths.prepared(split))


def arrays(split: str) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, allow_pickle=False) for path in paths.features(split).glob("*.npy")}


def encode() -> tuple[SequenceTagging, dict[str, Any]]:
    inputs, report, _ = words.write(SETTINGS)
    return SequenceTagging.encode(inputs, report), report


def test_the_labels_are_the_training_splits():
    task, report = encode()
    assert task.labels == (".", "DT", "NN", "VB")
    assert task.counts == (2, 4, 5, 2)
    assert {split: part["unseen_tags"] for split, part in report.items()} == {
        "train": {},
        "validation": {},
        "test": {"OW": 1, "UH": 2},
    }


def test_tags_that_training_lacks_are_numbered_after_the_labels():
    encode()
    test = arrays("test")
    assert test["unseen_tags"].tolist() == ["OW", "UH"]
    assert test["targets"].tolist() == [1, 2, 5, 3, 5, 4]
    assert arrays("train")["unseen_tags"].size == 0


def test_the_baseline_is_a_words_most_frequent_tag_in_training():
    encode()
    assert arrays("test")["baseline"].tolist() == [1, -1, -1, 2, -1, -1]
    assert tags.most_frequent([["run", "run", "runs"]], [["VB", "NN", "VB"]])["run"] == "NN"


def test_a_long_sentence_is_cut_into_parts_of_its_own():
    task, report = encode()
    inputs: Any = task.inputs
    train = arrays("train")
    assert train["starts"].tolist() == [0, 3, 5, 8, 11, 13]
    assert train["ids"].tolist() == [b"train-0", b"train-1", b"train-2", b"train-3", b"train-3"]
    assert len(train["words"]) == len(train["characters"]) == len(train["targets"]) == 13
    assert train["characters"].shape[1] == SETTINGS.word_length
    assert train["words"].max() < inputs.vocabulary
    assert train["characters"].max() < inputs.alphabet
    assert report["train"]["cut"] == 1
