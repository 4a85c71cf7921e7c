"""Which engine runs a package, and what is said where none can."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_tasks
from flax import nnx
from imports import TOP
from networks import config

from pipeline.evaluation.predictor import Predictor, variables
from pipeline.models import build, weights
from pipeline.runtime import engines
from pipeline.runtime.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 14, 10, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engines load of a package."""
    folder, task, network = tmp_path_factory.mktemp("package"), small_tasks.images(), config("cnn")
    model = build(network, task.inputs, task.outputs, rngs=nnx.Rngs(0))
    tree = {"params": variables(model, nnx.Param), "model_state": variables(model, nnx.Not(nnx.Param))}
    of: Any = Predictor(task, nnx.graphdef(model)), tree, network
    (folder / "model.jaxexp").write_bytes(task.export(*of))
    (folder / engines.MODEL).write_bytes(task.export_onnx(*of))
    weights.write(folder / "model.safetensors", tree)
    return folder


@pytest.fixture
def damaged(tmp_path):
    """Writes a package with this model.onnx."""

    def _damaged(content: bytes) -> Path:
        (tmp_path / engines.MODEL).write_bytes(content)
        return tmp_path

    return _damaged


def hide(patch: pytest.MonkeyPatch, library: str) -> None:
    """As if it were not installed."""
    real, find = builtins.__import__, engines.find_spec

    def absent(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return real(name, *rest, **options)

    patch.setattr(builtins, "__import__", absent)
    patch.setattr(engines, "find_spec", lambda name: None if name == library else find(name))
    for module in ("onnx", "jax"):
        patch.delitem(sys.modules, f"{engines.__name__}.{module}", raising=False)


def test_both_give_the_same(both):
    found = {name: engines.load(both, name) for name in ("onnx", "jax")}
    assert {name: (engine.name, engine.outputs, engine.compiles) for name, engine in found.items()} == {
        "onnx": ("onnx", 5, False),
        "jax": ("jax", 5, True),
    }
    one, other = (engine.run([PIXELS]) for engine in found.values())
    assert one.dtype == other.dtype == np.float32
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_auto_takes_onnx_where_the_package_has_it_and_the_library_is_there(both, tmp_path, monkeypatch):
    assert engines.load(both).name == "onnx"
    for name in ("model.jaxexp", "model.safetensors"):
        (tmp_path / name).symlink_to(both / name)
    assert engines.load(tmp_path).name == "jax"
    with pytest.raises(UserError, match=r"has no model.onnx, which the engine onnx runs: use the engine jax"):
        engines.load(tmp_path, "onnx")
    hide(monkeypatch, "onnxruntime")
    assert engines.load(both).name == "jax"
    with pytest.raises(UserError, match=r"the engine onnx needs onnxruntime, which is not installed: pip install -r"):
        engines.load(both, "onnx")


def test_without_jax_the_other_engine_runs(both, monkeypatch):
    hide(monkeypatch, "jax")
    assert engines.load(both).run([PIXELS]).shape == (3, 5)
    with pytest.raises(UserError, match=r"the engine jax needs jax, which is not installed: pip install -r"):
        engines.load(both, "jax")


def test_an_engine_that_there_is_not(both):
    with pytest.raises(UserError, match="engine: must be one of auto, onnx, jax, not 'torch'"):
        engines.load(both, "torch")


@pytest.mark.parametrize("content", [b"", b"of another format", b"\x08\x09" + b"\xff" * 40])
def test_a_damaged_model(damaged, content):
    with pytest.raises(UserError, match=r"model.onnx: onnxruntime .* cannot load it \(.*\): copy the package again"):
        engines.load(damaged(content), "onnx")


def test_a_cut_model(both, damaged):
    content = (both / engines.MODEL).read_bytes()
    for end in range(0, len(content), len(content) // 7):
        with pytest.raises(UserError, match="cannot load it"):
            engines.load(damaged(content[:end]), "onnx")


@pytest.mark.parametrize(("of", "version"), [("IR_VERSION", 99), ("OPSET", 99)])
def test_a_model_that_the_library_is_too_old_for(both, damaged, of, version):
    model = onnx.load(both / engines.MODEL)
    if of == "IR_VERSION":
        model.ir_version = version
    else:
        model.opset_import[0].version = version
    with pytest.raises(UserError, match=r"cannot load it \(.*\): pip install -r requirements.txt"):
        engines.load(damaged(model.SerializeToString()), "onnx")


def test_inputs_that_do_not_fit(both):
    with pytest.raises(UserError, match=r"model.onnx: cannot run these inputs \(.*\)$"):
        engines.load(both, "onnx").run([PIXELS[:, :5]])
    with pytest.raises(UserError, match=r"model.onnx: cannot run these inputs \(.*\)$"):
        engines.load(both, "onnx").run([PIXELS.astype(np.float32)])


def test_the_default_engine_is_quiet_and_loads_no_jax(both):
    code = f"""
import sys, numpy
from pathlib import Path
from pipeline.runtime import engines
engines.load(Path({str(both)!r})).run([numpy.zeros((1, 14, 10, 1), numpy.uint8)])
print(*{{"jax", "flax", "onnx", "pandas"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_memory_that_runs_out_is_called_so(both, monkeypatch):
    engine: Any = engines.load(both, "onnx")

    def fails(*given: object) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99999999999")

    monkeypatch.setattr(engine, "_run", fails)
    with pytest.raises(MemoryError):
        engine.run([PIXELS])
