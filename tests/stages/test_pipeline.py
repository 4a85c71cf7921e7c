"""The whole pipeline as people use it: real DVC, in a clone of its own, on a slice of the real data."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from clone import run

pytestmark = pytest.mark.slow

STAGES = ["prepare", "preprocess", "train", "evaluate", "package"]


def lock(folder: Path) -> bytes:
    return (folder / "dvc.lock").read_bytes()


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def metrics(folder: Path, name: str = "evaluate") -> dict:
    return json.loads((folder / f"metrics/{name}.json").read_text())


def test_a_fresh_run_leaves_every_result(small):
    figures = metrics(small, "details")["test"]
    assert figures["examples"] == 200
    assert figures["accuracy"] > 0.5
    assert figures["accuracy_low"] < figures["accuracy"] < figures["accuracy_high"]
    table = pd.read_parquet(small / "evaluation/test.parquet")
    assert table["source"].str.startswith("data/raw/").all()
    assert len(table) == 200
    probabilities = table[[c for c in table if c.startswith("probability of ")]]
    assert probabilities.shape[1] == 10
    assert probabilities.to_numpy().sum(axis=1) == pytest.approx(1, abs=1e-3)
    hits = table["label"].to_numpy() == table["prediction"].to_numpy()
    assert hits.mean() == pytest.approx(figures["accuracy"])
    assert len(pd.read_csv(small / "evaluation/per_class_test.csv")) == 10
    assert len(pd.read_csv(small / "plots/history.csv")) == metrics(small, "train")["epochs"] == 5
    assert metrics(small, "train")["parameters"] == 54_410
    assert not run("git status --porcelain", small)
    report = json.loads((small / "data/prepared/report.json").read_text())
    assert sum(split["examples"] for split in report["splits"].values()) == 800


def test_nothing_changed_runs_nothing(copy):
    """Nor where what changed is not in use."""
    assert ran(run("dvc repro", copy)) == []
    assert "up to date" in run("dvc status", copy)
    assert ran(run("dvc exp run -S models.resnet.training.epochs=1", copy)) == []


def test_another_clone_gives_the_same_bytes_and_leaves_a_clean_tree(copy, tmp_path):
    """Also by what the compiler makes anew, and where the commit names another machine, that made the same model."""
    machines = copy / "metrics/machines.json"
    here = machines.read_text()
    machines.write_text(re.sub('"vector_instructions": ".*?"', '"vector_instructions": "other ones"', here))
    assert machines.read_text() != here
    run("dvc commit -q -f evaluate && git commit -q -a -m elsewhere", copy)
    run(f"git clone -q '{copy}' '{tmp_path}/other'", tmp_path)
    assert ran(run("dvc repro -f", tmp_path / "other", JAX_ENABLE_COMPILATION_CACHE="false")) == STAGES
    assert lock(tmp_path / "other") == lock(copy)
    assert not run("git status --porcelain", tmp_path / "other")


def test_another_split_and_model(copy):
    """The model changes nothing before training; what the split changes trains anew."""
    run("sed -i 's/^model: cnn/model: resnet/' params.yaml", copy)
    assert ran(run("dvc repro --dry", copy)) == STAGES[2:]
    assert ran(run("dvc exp run preprocess -S +datasets.fashion-mnist.data.validation=0.2", copy)) == STAGES[:2]
    assert "data/features" in json.dumps(json.loads(run("dvc status --json", copy))["train"])


@pytest.mark.long  # the README does the same
def test_experiments_compare(copy):
    changes = "-S models.cnn.training.learning_rate=1e-05 -S models.cnn.training.epochs=1"
    assert ran(run(f"dvc exp run -n slower {changes}", copy)) == ["train", "evaluate", "package"]
    diff = json.loads(run("dvc metrics diff --json", copy))
    assert diff["metrics/evaluate.json"]["test.accuracy"]["diff"] < 0
    assert "learning_rate" in run("dvc params diff", copy)
    assert "slower" in run("dvc exp show --csv", copy)
    assert "Loss" in run("dvc plots diff HEAD --json", copy)
    assert "test.accuracy" in run("dvc metrics show", copy)
    # Back again by the parameter alone: nothing trains, the run cache has it.
    run("git checkout -q params.yaml", copy)
    assert set(ran(run("dvc repro", copy))) <= {"evaluate"}
    assert not run("git status --porcelain", copy)


@pytest.mark.long  # docs/experiments.md does the same
def test_results_travel_by_a_remote(copy, tmp_path):
    run(f"dvc remote add -q -d storage '{tmp_path}/remote' && git commit -q -am remote && dvc push -q", copy)
    run(f"git clone -q '{copy}' '{tmp_path}/other'", tmp_path)
    assert ran(run("dvc repro --dry --allow-missing", tmp_path / "other")) == []
    run("dvc pull -q", tmp_path / "other")
    assert ran(run("dvc repro", tmp_path / "other")) == []
    assert (tmp_path / "other/package/manifest.json").read_bytes() == (copy / "package/manifest.json").read_bytes()


MISTAKES = [
    ("sed -i 's/^model: cnn/model: vgg/' params.yaml", "model: must be one of cnn, resnet, linear, textcnn"),
    (
        "sed -i 's/epochs: 5/epochs: five/' params.yaml",
        "models.cnn.training.epochs: must be a positive integer or auto",
    ),
    ("rm data/raw/fashion-mnist/t10k-labels*", "t10k-labels-idx1-ubyte"),
    ("printf x >> data/raw/fashion-mnist/train-labels-idx1-ubyte.gz", "cannot be read"),
]


def test_a_mistake_is_one_line_and_leaves_earlier_results(copy):
    for spoil, message in MISTAKES:
        run(spoil, copy)
        output = run("python -m pipeline prepare", copy, code=1)
        if "params.yaml" in output:
            assert run("python -m pipeline check", copy, code=1) == output
        assert message in output
        assert "Traceback" not in output
        assert len(output.strip().splitlines()) == 1
        run("git checkout -q .", copy)
    run("dvc repro", copy)
    assert not run("git status --porcelain", copy)
