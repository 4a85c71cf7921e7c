"""Many devices train as one does, but for the last bits; each mesh ends at the same bits again; a checkpoint moves."""

import json
import subprocess
import sys
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


def train(model: str, on: str, to: Path, *, start: Path | None = None, **extra: str) -> dict[str, Any]:
    """Six steps there, in a process of its own."""
    more = [] if start is None else ["--start", str(start)]
    command = [
        sys.executable,
        str(TOP / "tests/harness/mesh_run.py"),
        model,
        *map(str, MESHES[on]),
        "--to",
        str(to),
        *more,
    ]
    done = subprocess.run(command, env=environment(**extra), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def arrays(path: Path) -> dict[str, np.ndarray]:
    return dict(np.load(path))


def same(one: Path, other: Path) -> bool:
    a, b = arrays(one), arrays(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "on"),
    [
        ("gpt", "data"),
        ("gpt", "fsdp"),
        ("gpt", "both"),
        ("gpt", "tensor"),
        ("gpt", "fsdp and tensor"),
        ("cnn", "data"),
        ("lstm", "both"),
    ],
)
def test_many_devices_are_as_one(model, on, tmp_path):
    alone = train(model, "one", tmp_path / "one.npz")
    many = train(model, on, tmp_path / "many.npz")
    np.testing.assert_allclose(many["losses"], alone["losses"], rtol=1e-5)
    data, fsdp, tensor = MESHES[on]
    assert many["devices"] == data * fsdp * tensor
    assert many["share"] == 1 / (fsdp * tensor)
    if model == "gpt":  # a device is given its own windows, and no other ones are read for it
        assert many["read"] == BLOCK * BATCH / (data * fsdp)
    again = train(model, on, tmp_path / "again.npz", JAX_ENABLE_COMPILATION_CACHE="false")
    assert again == many
    assert same(tmp_path / "many.npz", tmp_path / "again.npz")


@pytest.mark.slow
def test_a_checkpoint_moves_from_four_devices_to_one_to_two(tmp_path):
    """It goes on as the run on one device does; on the mesh that it came from, to the same bits as without a stop."""
    files = {name: tmp_path / f"{name}.npz" for name in ("four", "one", "two", "straight", "further", "back")}
    losses = train("gpt", "fsdp", files["four"])["losses"]
    losses += train("gpt", "one", files["one"], start=files["four"])["losses"]
    losses += train("gpt", "two", files["two"], start=files["one"])["losses"]
    straight = train("gpt", "one", files["straight"])["losses"]
    straight += train("gpt", "one", files["further"], start=files["straight"])["losses"]
    straight += train("gpt", "one", files["back"], start=files["further"])["losses"]
    np.testing.assert_allclose(losses, straight, rtol=1e-5)


def test_a_mesh_that_does_not_fit(monkeypatch):
    with pytest.raises(UserError, match="mesh: 2 x 2 x 1 takes 4 devices, and there are 1"):
        sharding.make(sharding.Mesh(data=2, fsdp=2), batch=8, layer={})
    assert sharding.make(None, batch=7, layer={}) is None
    monkeypatch.setattr("jax.device_count", lambda: 3)
    with pytest.raises(UserError, match="mesh: 3 devices do not share 8 examples evenly"):
        sharding.make(sharding.Mesh(data=3, fsdp=1), batch=8, layer={})
    with pytest.raises(UserError, match="tensor: gpt alone has layers that devices can share out: set it to 1"):
        sharding.make(sharding.Mesh(data=1, fsdp=1, tensor=3), batch=8, layer={})
    with pytest.raises(UserError, match="tensor: 3 devices do not share 2 groups of heads evenly"):
        sharding.make(sharding.Mesh(data=1, fsdp=1, tensor=3), batch=8, layer=corpora.CONFIGS["gpt"]().layer)
