"""dvc.yaml is truthful: what a stage imports, reads and writes is what it lists."""

import importlib
from pathlib import Path

import pytest
from imports import TOP, closure
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.models import CONFIGS

FILE = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())
STAGES = FILE["stages"]
# They run, and yet no result depends on them: some modules only refuse, the package stage's self-test only compares.
NEUTRAL = frozenset(f"pipeline.{name}" for name in ("check", "orphan", "plan", "stage"))
CARDS = {f"pipeline/cards/{card.name}" for card in (TOP / "pipeline/cards").iterdir()}
SELFTEST = {f"pipeline/{name}.py" for name in ("language_model", "selftest", "windows")}
BESIDE = {"package": CARDS | SELFTEST}


def listed_code(stage: str, model: str) -> set[str]:
    """The files under pipeline/ that a stage lists, folders spelled out."""
    files = set()
    for dep in STAGES[stage]["deps"]:
        path = TOP / dep.replace("${model}", model)
        if dep.startswith("pipeline"):
            files |= {path} if path.is_file() else {p for p in path.rglob("*.*") if p.suffix in (".py", ".md")}
    return {str(path.relative_to(TOP)) for path in files}


def imported_code(stage: str, model: str) -> set[str]:
    """The files under pipeline/ that a stage imports when that model is chosen."""
    others = frozenset(f"pipeline.models.{name}" for name in CONFIGS if name != model)
    return closure(f"pipeline.{stage}", without=others | NEUTRAL)


@pytest.mark.parametrize("stage", STAGES)
def test_lists_the_code_it_imports(stage):
    """All that any model makes it import, and no more."""
    needed = {model: imported_code(stage, model) for model in CONFIGS}
    for model in CONFIGS:
        listed, own = listed_code(stage, model), {f"pipeline/models/{model}.py"}
        assert needed[model] <= listed
        assert listed - own - BESIDE.get(stage, set()) <= set().union(*needed.values())


@pytest.mark.parametrize("stage", STAGES)
def test_lists_the_params_it_reads(stage):
    keys = importlib.import_module(f"pipeline.{stage}").Params.keys().values()
    assert sorted(STAGES[stage]["params"]) == sorted(key.replace("{", "${") for key in keys)


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
                assert out[next(iter(out))] == {"cache": False}


def test_metrics_plots_and_artifacts_are_outputs():
    shown = [*FILE["metrics"], *(a["path"] for a in FILE["artifacts"].values())]
    for plot in FILE["plots"]:
        shown += [plot] if isinstance(plot, str) else [path for p in plot.values() for path in p["y"]]
    assert set(shown) <= set(outputs())


def test_imports_point_one_way():
    """params <- tasks <- models <- learner <- stages; a stage never imports a stage."""
    order = ["pipeline.params", "pipeline.tasks", "pipeline.models", "pipeline.learner"]
    for i, module in enumerate(order):
        reached = closure(module)
        for later in [*order[i + 1 :], *(f"pipeline.{stage}" for stage in STAGES)]:
            assert not any(path.startswith(later.replace(".", "/")) for path in reached if "readers" not in path), later
    for stage in STAGES:
        others = {f"pipeline/{other}.py" for other in STAGES if other != stage}
        assert not closure(f"pipeline.{stage}") & others


def test_the_package_runtime_imports_no_training_code():
    for module in ("pipeline.predict", "pipeline.packaged", "pipeline.selftest"):
        encoders = set().union(*(closure(f"pipeline.{name}") for name in ("images", "texts", "tokens", "words")))
        assert not closure(module) & closure("pipeline.models") - encoders
