"""Interfaces of libraries that are private or not yet stable: these fail where a new version has moved one."""

import inspect

import jax
import jax.numpy as jnp
import pytest
from imports import TOP
from jax.experimental import multihost_utils

from pipeline.commands import check
from pipeline.parallel import processes


def test_dvc_validates_its_lock_file():
    text = (TOP / "dvc.lock").read_text()
    assert check.readable(text)
    for damaged in ("", text[: text.index("md5:") + 2], "stages: []", "schema: '2.0'\nstages:\n  train:\n    cmd: 1\n"):
        assert not check.readable(damaged)


def test_jax_talks_between_processes():
    for collective in (multihost_utils.process_allgather, multihost_utils.broadcast_one_to_all):
        assert "in_tree" in inspect.signature(collective).parameters
    assert processes.broadcast("00ff1a2b3c4d5e6f") == "00ff1a2b3c4d5e6f"
    assert processes.agree_max(3, 0) == (3, 0)


def test_jax_counts_memory():
    compiled = jax.jit(lambda x: x @ x).lower(jnp.ones((8, 8))).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.argument_size_in_bytes == memory.output_size_in_bytes == 8 * 8 * 4
    assert memory.temp_size_in_bytes >= memory.alias_size_in_bytes == 0
    stats = jax.local_devices()[0].memory_stats()
    assert stats is None or stats["bytes_limit"] > 0  # a CPU has none


def test_ray_trains_data_parallel():
    pytest.importorskip("ray")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.collective import broadcast_from_rank_zero
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    assert list(inspect.signature(broadcast_from_rank_zero).parameters) == ["data"]
    assert {"train_loop_config", "scaling_config", "run_config"} <= set(
        inspect.signature(DataParallelTrainer.__init__).parameters
    )
    assert issubclass(TrainingFailedError, Exception)
    assert all(map(callable, (FailureConfig, RunConfig, ScalingConfig)))
