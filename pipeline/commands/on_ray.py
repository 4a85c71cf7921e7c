"""Starts a command in each worker of a Ray cluster, as processes that train as one; when one fails, all start anew.

    LAUNCH="python -m pipeline on-ray --workers 2 --gpus 1" dvc repro

A DataParallelTrainer runs it: Ray's JaxTrainer would on CPU train copies that know nothing of each other. The workers
see this folder, on a file system in common.
"""

import argparse
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.parallel.processes import COORDINATOR, NUM_PROCESSES, RANK
from pipeline.runtime.errors import UserError

TOLD = ("CHECKPOINT_", "DVC_", "JAX_", "NPROC", "PATH", "PYTHON", "XLA_")  # what the workers have of this environment
FINAL = (0, 1)  # exit codes that another try would not change: done, and a user's mistake


def work(told: dict[str, Any]) -> int:
    """One worker's part: the command, told which of how many it is; returns process 0's exit code. Raises RuntimeError
    where another try may go better.
    """
    import ray
    from ray import train
    from ray.train.collective import broadcast_from_rank_zero

    context = train.get_context()
    rank = context.get_world_rank()
    address = broadcast_from_rank_zero(f"{ray.util.get_node_ip_address()}:{_free_port()}" if rank == 0 else None)
    which = {COORDINATOR: str(address), NUM_PROCESSES: str(context.get_world_size()), RANK: str(rank)}
    done = subprocess.run(told["command"], cwd=told["folder"], env={**os.environ, **told["environment"], **which})
    # Process 0 decides: when it ends at a mistake, another may be cut off before it has found the same one.
    code = broadcast_from_rank_zero(done.returncode)
    if code not in FINAL:
        raise RuntimeError(f"process {rank} of {context.get_world_size()} ended with {done.returncode}")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline on-ray", description="Runs a command in each worker of a Ray cluster."
    )
    parser.add_argument("--workers", type=int, required=True, help="how many processes")
    parser.add_argument("--cpus", type=float, default=1, help="of each: cores that Ray sets aside (%(default)s)")
    parser.add_argument("--gpus", type=float, default=0, help="of each: GPUs (%(default)s)")
    parser.add_argument("--tries", type=int, default=10, help="how often to start anew (%(default)s)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError
    except ImportError as error:
        raise UserError("ray is not installed: pip install '.[ray]'") from error
    here = str(Path.cwd())
    environment = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
    # What a worker leaves behind ends as what DVC leaves behind does.
    told = {"command": asked.command, "folder": here, "environment": {"DVC_STAGE": "train", **environment}}
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": here}})
    trainer = DataParallelTrainer(
        work,
        train_loop_config=told,
        scaling_config=ScalingConfig(
            num_workers=asked.workers,
            use_gpu=asked.gpus > 0,
            resources_per_worker={"CPU": asked.cpus, **({"GPU": asked.gpus} if asked.gpus else {})},
        ),
        run_config=RunConfig(
            storage_path=str((paths.LOGS / "ray").absolute()), failure_config=FailureConfig(max_failures=asked.tries)
        ),
    )
    try:
        return trainer.fit().return_value or 0
    except TrainingFailedError as error:
        raise UserError(" ".join(str(error).split())) from error


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]
