"""A mistake in params.yaml is one line that names the key and what would be right."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from dvc.utils.serialize import modify_yaml
from ruamel.yaml import YAML

from pipeline.config import params, paths
from pipeline.runtime.errors import UserError
from pipeline.stages import check, train

TOP = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the shipped params.yaml with some keys changed; returns its path."""

    def _write(**changes: object) -> Path:
        content = YAML(typ="safe").load((TOP / paths.PARAMS).read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            section = content
            for parent in parents:
                section = section[parent]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        with (tmp_path / "params.yaml").open("w") as file:
            YAML().dump(content, file)
        return tmp_path / "params.yaml"

    return _write


def test_the_shipped_file_is_right():
    check.params(TOP / paths.PARAMS)


def test_dvc_rewrites_no_other_line(tmp_path):
    """`dvc exp run -S` writes the whole file in a form of its own: the committed one has it already."""
    copy = Path(shutil.copy(TOP / paths.PARAMS, tmp_path))
    with modify_yaml(copy) as content:
        content["seed"] = 7
    before, after = (path.read_text().splitlines() for path in (TOP / paths.PARAMS, copy))
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [("seed: 0", "seed: 7")]


CNN = "models__cnn__training__"
MISTAKES = [
    ({"sed": 1}, "sed: unknown key; the keys here: dataset, model, seed, evaluation, datasets, models"),
    ({"evaluation": ...}, "evaluation: is missing"),
    ({"evaluation__sure_accuracy": 95}, "evaluation.sure_accuracy: must be less than 1, not 95"),
    ({"evaluation__interval": 1.0}, "evaluation.interval: must be less than 1, not 1.0"),
    ({"evaluation": {"sure": 0.9}}, "evaluation.sure: unknown key; the keys here: sure_accuracy, interval"),
    ({"seed": True}, "seed: must be a valid integer, not True"),
    ({"seed": -1}, "seed: must be greater than or equal to 0, not -1"),
    ({"seed": ...}, "seed: is missing"),
    ({"seed": 1 << 32}, "seed: must be less than 4294967296, not 4294967296"),
    ({"datasets__v1.2": {}}, "datasets: 'v1.2': DVC cannot read a name with '.': use - instead"),
    ({CNN + "epoch_steps": 3}, "models.cnn.training.epoch_steps: is for language models: remove it"),
    ({"models__cnn__network__kernel": 28}, "models.cnn.network.kernel: 28 is too large for images of 28 x 28"),
    ({CNN + "mesh": {"data": 3, "fsdp": 1}}, "cnn.training.mesh: 3 devices cannot share 32 examples evenly"),
    (
        {"dataset": "fashion"},
        "dataset: must be one of fashion-mnist, spam, spam-later, brown, brown-12, shakespeare, not 'fashion'",
    ),
    ({"model": "cnnn"}, "model: must be one of cnn, resnet, linear, textcnn, lstm, transformer, gpt, rnn, not 'cnnn'"),
    ({"models": {"vgg": {}}}, "models.vgg: no such model; the models here: cnn, resnet, linear, textcnn, lstm"),
    ({CNN + "epoch": 3}, "models.cnn.training.epoch: unknown key; the keys here: epochs, batch_size"),
    ({CNN + "epochs": 0}, "models.cnn.training.epochs: must be a positive integer or auto, not 0"),
    ({CNN + "epochs": "ten"}, "models.cnn.training.epochs: must be a positive integer or auto, not 'ten'"),
    ({CNN + "epochs": 1.5}, "models.cnn.training.epochs: must be a positive integer or auto, not 1.5"),
    ({"models__cnn__training": ...}, "models.cnn.training: is missing"),
    ({CNN + "learning_rate": "fast"}, "models.cnn.training.learning_rate: must be a valid number, not 'fast'"),
    ({CNN + "learning_rate": float("inf")}, "models.cnn.training.learning_rate: must be a finite number"),
    ({CNN + "optimizer": {"name": "lion"}}, "models.cnn.training.optimizer.name: must be one of 'sgd', 'adagrad'"),
    ({CNN + "optimizer": {}}, "models.cnn.training.optimizer.name: is missing"),
    ({CNN + "optimizer": {"name": "adam", "momentum": 1}}, "models.cnn.training.optimizer.momentum: unknown key"),
    ({CNN + "optimizer": {"name": "adam", "b1": 2.0}}, "models.cnn.training.optimizer.b1: must be less than 1"),
    (
        {CNN + "monitor": "f1"},
        "training.monitor: must be one of accuracy, macro_f1, loss, the metrics of fashion-mnist's task, not 'f1'",
    ),
    (
        {"models__resnet__training__augmentation": {"policy": "autoaugment"}},
        "models.resnet.training.augmentation.policy: must be 'photos' or 'trivial-augment', not 'autoaugment'",
    ),
    (
        {"datasets__fashion-mnist__preprocessing__background": "grey"},
        "fashion-mnist.preprocessing.background: must be 'black', 'white' or 'edge', not 'grey'",
    ),
    (
        {"models__lstm__training__microbatches": 2},
        "models.lstm.training.microbatches: needs a batch_size other than auto, not 2",
    ),
    (
        {"models__gpt__training__microbatches": 3},
        "models.gpt.training.microbatches: must divide a batch_size of 8, not 3",
    ),
    ({"models__resnet__network__widths": [8, 0]}, "models.resnet.network.widths.1: must be greater than 0, not 0"),
    ({"models__cnn__network__stride": 2}, "models.cnn.network.stride: unknown key; the keys here: filters, kernel"),
    (
        {"models__cnn__network__name": "resnet"},
        "cnn.network.name: unknown key; the key of the section, cnn, names",
    ),
    ({"models__cnn__network__kernel": "3"}, "models.cnn.network.kernel: must be a valid integer, not '3'"),
    (
        {"datasets__fashion-mnist__data__format": "idy"},
        "fashion-mnist.data.format: must be one of 'conll'",
    ),
    ({"datasets__fashion-mnist__data": "idx"}, "datasets.fashion-mnist.data: must be a valid dictionary"),
    ({"datasets__fashion-mnist__data__source": ...}, "datasets.fashion-mnist.data.source: is missing"),
    ({"datasets__fashion-mnist__data__shape": 3}, "data.shape: unknown key; the keys here: source, validation, test"),
    ({"datasets__spam__data__text": ...}, "datasets.spam.data: must name a column either as text or as image"),
    ({"datasets__spam__data__validation": 0.5}, "datasets.spam.data.validation: must be less than 0.5, not 0.5"),
    ({"datasets__spam__task__class_weights": "even"}, "spam.task.class_weights: must be 'none' or 'balanced', not"),
    ({"datasets__spam__preprocessing": ...}, "datasets.spam.preprocessing: is missing"),
    (
        {"datasets__spam__preprocessing": None},
        "datasets.spam.preprocessing: has no value: write {} to take the defaults",
    ),
    ({"datasets__spam__preprocessing__tokenizer": "bpee"}, "preprocessing.tokenizer: must be 'bpe', 'wordpiece'"),
    ({"datasets__spam__preprocessing": {"height": 3}}, "datasets.spam.preprocessing.height: unknown key; the keys"),
    (
        {"datasets__brown__data__max_bad_rows": -1},
        "datasets.brown.data.max_bad_rows: must be greater than or equal to 0",
    ),
    ({"models__lstm__network__cell": "rnn"}, "models.lstm.network.cell: must be 'lstm' or 'gru', not 'rnn'"),
    (
        {"datasets__fashion-mnist__task__name": "sorting"},
        "fashion-mnist.task.name: must be one of classification",
    ),
    ({"datasets__brown__task": "sequence-tagging"}, "datasets.brown.task: must be a valid dictionary"),
    ({"datasets__brown__task": {None: 1}}, "datasets.brown.task: must be a valid string, not None"),
    ({"models__cnn__training__optimizer": [{"name": "adam"}]}, "models.cnn.training.optimizer: must be a valid dict"),
    ({"models__cnn__training__a\nb": 1}, "models.cnn.training.a\\nb: unknown key; the keys here: epochs"),
    ({"models__cnn__training": {None: 1}}, "models.cnn.training.None: unknown key"),
    ({"models__cnn__training__epochs": "9" * 100_000}, " ... "),
    ({"datasets__fashion-mnist__split": 0.1}, "fashion-mnist.split: unknown key; the keys here: task, data, preproc"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_one_line(write, change, message):
    with pytest.raises(UserError) as caught:
        check.params(write(**change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {CNN + "batch_size": 21},
            "models.cnn.training.batch_size: 21 is more than the 20 training examples; lower it",
        ),
        (
            {CNN + "schedule": {"name": "cosine", "warmup": 0.95}},
            "models.cnn.training.schedule.warmup: 0.95 of 5 steps is all of them",
        ),
        ({CNN + "epochs": 1 << 31}, "models.cnn.training.epochs: 2,147,483,648 epochs of 1 steps are more than"),
    ],
)
def test_a_value_that_the_prepared_data_is_too_small_for(write, change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = check.params(write(**({CNN + "batch_size": 20} | change)))
    check.sizes(chosen)  # no data is prepared: the value may be right
    report = prepared(chosen)
    with pytest.raises(UserError) as caught:
        check.sizes(chosen)
    assert message in str(caught.value)
    os.utime(report, (0, 0))  # the data has changed since
    check.sizes(chosen)


def prepared(chosen: check.Chosen) -> Path:
    """The report of its data, of which 20 examples are for training."""
    data = chosen.dataset.data.model_dump(mode="json", exclude_none=True)
    Path(data["source"]).mkdir(parents=True)
    paths.PREPARED.mkdir(parents=True)
    report, content = paths.PREPARED / "report.json", {"data": data, "splits": {"train": {"examples": 20}}}
    report.write_text(json.dumps(content))
    os.utime(report, (time.time() + 10, time.time() + 10))
    return report


def test_a_text_that_is_too_short_for_a_batch(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = check.params(write(dataset="shakespeare", model="gpt"))
    prepared(chosen)
    check.sizes(chosen)  # no tokens are counted
    inputs = {"kind": "corpus", "settings": chosen.dataset.preprocessing.model_dump(), "vocabulary": 86}
    paths.FEATURES.mkdir()
    task = {"name": "language-modelling", "inputs": inputs, "counts": [900, 100]}
    (paths.FEATURES / "task.json").write_text(json.dumps(task))
    said = r"models\.gpt\.training\.batch_size: 8 windows of 256 tokens are more than the 1,000 training tokens"
    with pytest.raises(UserError, match=said):
        check.sizes(chosen)


def test_a_model_that_does_not_fit_the_dataset(write, monkeypatch):
    monkeypatch.setattr("pipeline.config.networks.ResNetConfig.inputs", ("texts",))
    with pytest.raises(UserError, match=r"model: resnet does not read images, .* choose one of cnn$"):
        check.params(write(model="resnet"))


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "- list\n", "", "\x00"])
def test_what_is_no_mapping(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml") as caught:
        check.params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["3e-05", "1e-3", "0.001", "3.0E-5"])
def test_numbers_as_dvc_writes_them(tmp_path, number):
    text = (TOP / paths.PARAMS).read_text().replace("learning_rate: 1.0e-3", f"learning_rate: {number}")
    (tmp_path / "params.yaml").write_text(text)
    check.params(tmp_path / "params.yaml")
    assert train.Params.load(tmp_path / "params.yaml").training.learning_rate == float(number)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        params.read(tmp_path / "params.yaml")
