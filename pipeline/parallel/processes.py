"""Several processes that train as one: each runs this same program, and the devices of all of them make one mesh.

A launcher starts them: `srun`, `mpirun`, Kubernetes, Ray. They share a file system, and process 0 alone writes there.
A process on its own agrees with itself, and none of this costs it anything.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Shaped

from pipeline.runtime import errors
from pipeline.runtime.errors import UserError

HEARTBEAT = 30  # seconds without a sign of life from one process after which the others end
MEETING = 300  # seconds in which all have to come
AGAIN = 75  # the exit code of a process without a fault of its own: sysexits.h has it for what may go well next time
ADDRESS, COUNT, RANK = "JAX_COORDINATOR_ADDRESS", "TRAIN_NPROCS", "TRAIN_RANK"


@contextmanager
def together() -> Iterator[None]:
    """Meets the others, if a launcher has started several: before anything is computed. What ends one process ends all:
    each says why in one line, or JAX says it where no step of theirs failed, and none waits for those that are gone.

    Raises UserError where they do not meet, or the environment does not say of how many this is which.
    """
    join()
    if (count := jax.process_count()) == 1:
        yield
        return
    try:
        yield
    except (UserError, jax.errors.JaxRuntimeError) as error:
        own = str(error) if isinstance(error, UserError) else errors.refusal(error)
        print(f"error: process {jax.process_index()} of {count}: {own or _lost(error)}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1 if own else AGAIN)


def join() -> None:
    """The others are those that a launcher has started, or that the environment tells of."""
    if ADDRESS in os.environ:
        at, count, rank = os.environ[ADDRESS], _number(COUNT, least=1), _number(RANK, least=0)
        print(f"process {rank} of {count} meets the others at {at}: within {MEETING} seconds", file=sys.stderr)
        found = at, count, rank
    elif max(_started_by("SLURM_NTASKS", "SLURM_STEP_NODELIST"), _started_by("OMPI_COMM_WORLD_SIZE")) > 1:
        found = None, None, None  # JAX knows these launchers
    else:
        return
    try:
        jax.distributed.initialize(
            *found,
            initialization_timeout=MEETING,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=HEARTBEAT,
        )
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"the processes that are to train as one did not meet ({why}): start all of them, or tell each "
            f"{ADDRESS}=HOST:PORT of process 0, {COUNT} and {RANK}"
        ) from error
    if not first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what all would say, process 0 says


def first() -> bool:
    """Whether this is process 0, or the only one."""
    return jax.process_index() == 0


def agreed(*numbers: int) -> tuple[int, ...]:
    """Of each number the largest that any process says. All must ask: none goes on before the last one has."""
    if jax.process_count() == 1:
        return numbers
    said = multihost_utils.process_allgather(np.array(numbers, np.int32))  # p n
    return tuple(int(number) for number in said.max(0))


def host(array: Any) -> Shaped[np.ndarray, "..."]:
    """The whole array, of which a process may have but a part. All must ask."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable and not array.is_fully_replicated:
        mesh = array.sharding.mesh  # type: ignore[attr-defined]
        array = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(array)
    return np.asarray(array)


def _lost(error: Exception) -> str:
    why = " ".join(str(error).split())
    return (
        f"a step failed, as when another process has ended ({why}): the same command goes on from the last checkpoint"
    )


def _number(name: str, *, least: int) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{name}: beside {ADDRESS} it must be a number, {least} or more, not {text!r}")
    return int(text)


def _started_by(count: str, also: str = "") -> int:
    """How many processes a launcher says that there are."""
    text = os.environ.get(count, "")
    return int(text) if text.isdecimal() and (not also or also in os.environ) else 1
