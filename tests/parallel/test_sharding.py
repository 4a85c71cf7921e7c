"""Many devices train as one does, but for the last bits; each mesh ends at the same bits again; a checkpoint moves."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpora
import numpy as np
import pytest
from clone import environment
from imports import TOP

from pipeline.loaders.buckets import BLOCK
from pipeline.parallel import sharding
from pipeline.runtime.errors import UserError

pytestmark = pytest.mark.xdist_group("sharding")  # for the processes that are started once

MESHES = {
    "one": (1, 1, 1),
    "two": (1, 2, 1),
    "data": (4, 1, 1),
    "fsdp": (1, 4, 1),
    "both": (2, 2, 1),
    "tensor": (1, 1, 2),
    "fsdp and tensor": (1, 2, 2),
}
BATCH = 8
Train = Callable[..., dict[str, Any]]


def trains(**extra: str) -> Iterator[Train]:
    """A process with four devices, and six steps of training in it: of a model, on some of them, to a file."""
    command = [sys.executable, str(TOP / "tests/harness/mesh_run.py")]
    with subprocess.Popen(
        command, env=environment(**extra), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        lines, answers = process.stdin, process.stdout
        assert lines
        assert answers

        def train(model: str, on: str, to: Path, start: Path | None = None) -> dict[str, Any]:
            wish = {"model": model, "mesh": MESHES[on], "to": str(to), "start": start and str(start)}
            print(json.dumps(wish), file=lines, flush=True)
            return json.loads(answers.readline())

        yield train
        lines.close()
        assert process.wait() == 0


@pytest.fixture(scope="module")
def train() -> Iterator[Train]:
    yield from trains()


@pytest.fixture(scope="module")
def train_anew() -> Iterator[Train]:
    """In a second process, that finds nothing compiled."""
    yield from trains(JAX_ENABLE_COMPILATION_CACHE="false")


@pytest.fixture(scope="module")
def alone(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What each model comes to on one device."""
    folder, results = tmp_path_factory.mktemp("alone"), {}

    def result(model: str) -> dict[str, Any]:
        if model not in results:
            results[model] = train(model, "one", folder / f"{model}.npz")
        return results[model]

    return result


def same(one: Path, other: Path) -> bool:
    a, b = dict(np.load(one)), dict(np.load(other))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "on"),
    [
        ("gpt", "data"),
        ("gpt", "fsdp and tensor"),
        ("lstm", "both"),
        *(pytest.param("gpt", on, marks=pytest.mark.long) for on in ("fsdp", "both", "tensor")),
    ],
)
def test_many_devices_are_as_one(train, train_anew, alone, model, on, tmp_path):
    many = train(model, on, tmp_path / "many.npz")
    np.testing.assert_allclose(many["losses"], alone(model)["losses"], rtol=1e-5)
    data, fsdp, tensor = MESHES[on]
    assert many["devices"] == data * fsdp * tensor
    assert many["share"] == 1 / (fsdp * tensor)
    if model == "gpt":  # a device is given its own windows, and no other ones are read for it
        assert many["read"] == BLOCK * BATCH / (data * fsdp)
    assert train_anew(model, on, tmp_path / "again.npz") == many
    assert same(tmp_path / "many.npz", tmp_path / "again.npz")


@pytest.mark.long
def test_a_checkpoint_moves_from_four_devices_to_one_to_two(train, tmp_path):
    """It goes on as the run on one device does, but for the last bits."""

    def losses(*meshes: str) -> list[float]:
        found, start = [], None
        for number, on in enumerate(meshes):
            to = tmp_path / f"{number} of {'-'.join(meshes)}.npz"
            found += train("gpt", on, to, start)["losses"]
            start = to
        return found

    np.testing.assert_allclose(losses("fsdp", "one", "two"), losses("one", "one", "one"), rtol=1e-5)


def test_a_mesh_that_does_not_fit(monkeypatch):
    with pytest.raises(UserError, match="mesh: 2 x 2 x 1 needs 4 devices, and there are 1"):
        sharding.make_mesh(sharding.Mesh(data=2, fsdp=2), batch=8, tensor_parallel={})
    assert sharding.make_mesh(None, batch=7, tensor_parallel={}) is None
    monkeypatch.setattr("jax.device_count", lambda: 3)
    with pytest.raises(UserError, match="mesh: 3 devices cannot share 8 examples evenly"):
        sharding.make_mesh(sharding.Mesh(data=3, fsdp=1), batch=8, tensor_parallel={})
    with pytest.raises(UserError, match="tensor: only gpt has layers that devices can share: set it to 1"):
        sharding.make_mesh(sharding.Mesh(data=1, fsdp=1, tensor=3), batch=8, tensor_parallel={})
    parallel = corpora.CONFIGS["gpt"]().tensor_parallel
    with pytest.raises(UserError, match="tensor: 3 devices cannot share 2 key/value heads evenly"):
        sharding.make_mesh(sharding.Mesh(data=1, fsdp=1, tensor=3), batch=8, tensor_parallel=parallel)
