"""dvc.yaml is truthful: what a stage imports, reads and writes is what it lists."""

import ast
import importlib
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from imports import TOP, closure, third_party
from ruamel.yaml import YAML

from pipeline.config import paths
from pipeline.config.networks import NETWORKS

FILE = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())
STAGES = FILE["stages"]
VERSIONS = YAML(typ="safe").load((TOP / "versions.yaml").read_text())
# What is listed though no import leads there: what XLA reads before jax loads.
BESIDE = {"pipeline/runtime/environment.py"}
# They read and check, or draw a progress bar: no number of a result comes from them.
NO_RESULT = {"jaxtyping", "psutil", "pydantic", "pydantic_core", "ruamel", "tqdm"}
# They read or write a stage's files, or serve another stage in a module that this one imports too.
NO_NUMBER = {
    "preprocess": {"jax", "ray"},
    "train": {"pandas", "pillow", "pyarrow", "safetensors", "tiktoken", "tokenizers"},
    "evaluate": {"markupsafe", "optax", "safetensors", "tiktoken", "tokenizers"},
    "package": {
        "cyclonedx-python-lib",  # requirements.txt, with its version, is a dependency
        "optax",
        "packageurl-python",
        "pandas",
        "pillow",
        "pyarrow",
        "tiktoken",
        "tokenizers",
    },
}


# What each stage calls of a task, whose module imports where it needs them the libraries of one stage alone.
HELPERS = {"_sentences", "_tokenizer", "_labels_of"}
FIGURE = {"figure", "_decode", "_tags", "_labels_of"}
LOSS = {"loss_sums", "loss", "class_loss"}
METHODS = {
    "preprocess": {"encode"},
    "train": {
        "augment",
        "training_examples",
        "loader",
        "validation",
        "validation_figure",
        "check_memory",
        *LOSS,
        *FIGURE,
    },
    "evaluate": {
        "calibrate",
        "fitted",
        "evaluate",
        "outcomes",
        "headline",
        "doubts",
        "_table",
        "_spans",
        "_sources",
        "_write_table",
        *LOSS,
        *HELPERS,
        *FIGURE,
    },
    "package": {
        "export",
        "export_explanations",
        "export_onnx",
        "configuration",
        "signature",
        "card",
        "class_card",
        "samples",
        "answers",
        *HELPERS,
    },
    "compare": {"compared"},  # which is no stage
}
# Prepare asks the task only whether it can learn the labels: that refuses, and changes no result.
REFUSES = {"prepare": frozenset({"pipeline.tasks"})}


def unused(stage: str) -> frozenset[str]:
    """The functions of a task that other stages call, and this one does not."""
    everything = set().union(*METHODS.values())
    return frozenset(everything - METHODS.get(stage, set()))


def listed_code(stage: str, model: str) -> list[str]:
    """The entries under pipeline/ that a stage lists."""
    return [dep.replace("${model}", model) for dep in STAGES[stage]["deps"] if dep.startswith("pipeline")]


def imported_code(stage: str, model: str) -> set[str]:
    """The files under pipeline/ that a stage imports when that model is chosen, less empty ones, which say nothing."""
    others = frozenset(f"pipeline.models.{name}" for name in NETWORKS if name != model)
    return {
        name
        for name in closure(
            f"pipeline.stages.{stage}", without=others | REFUSES.get(stage, frozenset()), unused=unused(stage)
        )
        if not is_mark(name)
    }


def is_mark(name: str) -> bool:
    """Whether a file holds at most a docstring: it only marks a package."""
    return name.endswith("__init__.py") and len(ast.parse((TOP / name).read_text()).body) <= 1


def covers(entry: str, name: str) -> bool:
    return name == entry or name.startswith(f"{entry}/")


@pytest.mark.parametrize("stage", STAGES)
def test_lists_the_code_it_imports(stage):
    """All that any model makes it import, and no entry that none of it needs."""
    needed = {model: imported_code(stage, model) for model in NETWORKS}
    for model in NETWORKS:
        listed = listed_code(stage, model)
        assert not [name for name in needed[model] if not any(covers(entry, name) for entry in listed)]
        everything = set().union(*needed.values()) | {f"pipeline/models/{model}.py"}
        idle = [entry for entry in listed if not any(covers(entry, name) for name in everything)]
        assert set(idle) <= BESIDE


@pytest.mark.parametrize("stage", STAGES)
def test_lists_the_params_it_reads(stage):
    keys = importlib.import_module(f"pipeline.stages.{stage}").Params.keys().values()
    listed = [param for param in STAGES[stage]["params"] if isinstance(param, str)]
    assert sorted(listed) == sorted(key.path.replace("{", "${") for key in keys)


@pytest.mark.parametrize("stage", STAGES)
def test_lists_the_libraries_that_its_results_come_from(stage):
    (listed,) = (param["versions.yaml"] for param in STAGES[stage]["params"] if isinstance(param, dict))
    files = set().union(*(imported_code(stage, model) for model in NETWORKS))
    imported = third_party(files, unused(stage)) - NO_RESULT
    names = {re.sub("[-_]+", "-", packages_distributions()[name][0].lower()) for name in imported}
    assert names - NO_NUMBER.get(stage, set()) <= set(listed)
    assert set(listed) <= set(VERSIONS)


def test_versions_are_those_that_requirements_pin():
    pinned = (TOP / "requirements.txt").read_text()
    for name, version in VERSIONS.items():
        assert " or ".join(re.findall(rf"^{name}==(\S+)", pinned, re.MULTILINE)) == version


def outputs() -> list[str]:
    return [next(iter(out)) if isinstance(out, dict) else out for s in STAGES.values() for out in s["outs"]]


def test_paths_are_those_of_the_code():
    constants = {str(value) for value in vars(paths).values() if isinstance(value, Path)}
    known = {*constants, *(f"{paths.FEATURES}/{name}" for name in ("task.json", "report.json", *paths.SPLITS))}
    assert set(outputs()) <= known


def test_every_output_is_in_git_or_ignored():
    ignored = (TOP / ".gitignore").read_text().split("\n")
    for stage in STAGES.values():
        for out in stage["outs"]:
            if not isinstance(out, dict):
                assert any(line in (f"/{out}", f"/{Path(out).parent}/") for line in ignored), out
            else:
                assert out[next(iter(out))]["cache"] is False


def test_metrics_plots_and_artifacts_are_outputs():
    shown = [*FILE["metrics"], *(a["path"] for a in FILE["artifacts"].values())]
    for plot in FILE["plots"]:
        shown += [plot] if isinstance(plot, str) else [path for p in plot.values() for path in p.get("y", [])]
    assert all(any(covers(out, path) for out in outputs()) for path in shown)
