"""Starts a command in each worker of a Ray cluster, as processes that train one model; if one fails, all start again.

    LAUNCH="python -m pipeline on-ray --workers 2 --gpus 1" dvc repro

It uses a DataParallelTrainer: on CPUs, Ray's JaxTrainer would train unconnected copies of the model. The workers see
this folder on a shared file system.
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

PASSED_ON = ("CHECKPOINT_", "DVC_", "JAX_", "NPROC", "PATH", "PYTHON", "XLA_")  # environment variables, by their start
FINAL = (0, 1)  # exit codes that another attempt would not change: success, and a user's mistake


def work(config: dict[str, Any]) -> int:
    """One worker's part: runs the command as one of the processes; returns process 0's exit code. Raises RuntimeError
    where another attempt may succeed.
    """
    import ray
    from ray import train
    from ray.train.collective import broadcast_from_rank_zero

    context = train.get_context()
    rank, count = context.get_world_rank(), context.get_world_size()
    address = broadcast_from_rank_zero(f"{ray.util.get_node_ip_address()}:{_free_port()}" if rank == 0 else None)
    process = {COORDINATOR: str(address), NUM_PROCESSES: str(count), RANK: str(rank)}
    done = subprocess.run(
        config["command"], cwd=config["folder"], env={**os.environ, **config["environment"], **process}
    )
    # Process 0 decides: when it ends with a mistake, the others may be cut off before they have reported the same one.
    code = broadcast_from_rank_zero(done.returncode)
    if code not in FINAL:
        raise RuntimeError(f"process {rank} of {count} ended with exit code {done.returncode}")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline on-ray", description="Runs a command in each worker of a Ray cluster."
    )
    parser.add_argument("--workers", type=int, required=True, help="number of processes")
    parser.add_argument("--cpus", type=float, default=1, help="cores that Ray reserves for each (%(default)s)")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs for each (%(default)s)")
    parser.add_argument("--tries", type=int, default=10, help="how often to start again after a failure (%(default)s)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError
    except ImportError as error:
        raise UserError("ray is not installed: pip install '.[ray]'") from error
    here = str(Path.cwd())
    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": here}})
    trainer = DataParallelTrainer(
        work,
        train_loop_config={
            "command": arguments.command,
            "folder": here,
            # As under DVC: a process whose parent has died ends (stages/process/parent_watch.py).
            "environment": {"DVC_STAGE": "train", **environment},
        },
        scaling_config=ScalingConfig(
            num_workers=arguments.workers,
            use_gpu=arguments.gpus > 0,
            resources_per_worker={"CPU": arguments.cpus, **({"GPU": arguments.gpus} if arguments.gpus else {})},
        ),
        run_config=RunConfig(
            storage_path=str((paths.LOGS / "ray").absolute()),
            failure_config=FailureConfig(max_failures=arguments.tries),
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
