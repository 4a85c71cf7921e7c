"""Several processes that train one model: each runs this program, and their devices form one mesh.

A launcher starts them: `srun`, `mpirun`, Kubernetes, Ray. They share a file system, and only process 0, the main
process, writes to it. With a single process every function here returns at once.
"""

import os
import re
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

HEARTBEAT_SECONDS = 30  # without a sign of life from one process, the others end
CONNECT_SECONDS = 300  # for all processes to connect
STATUS = re.compile(r"(ABORTED|CANCELLED|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|UNKNOWN): ")  # of a failed collective
COORDINATOR, NUM_PROCESSES, RANK = "JAX_COORDINATOR_ADDRESS", "TRAIN_NPROCS", "TRAIN_RANK"  # environment variables


@contextmanager
def distributed() -> Iterator[None]:
    """Connects the processes that a launcher has started; enter it before anything is computed.

    When one process fails, all end, each with one line that says why. A process that fails through no fault of its own
    exits with EX_TEMPFAIL (75): the same command may succeed next time. Raises UserError where the processes do not
    connect, or the environment variables are wrong.
    """
    initialize()
    if (count := jax.process_count()) == 1:
        yield
        return
    try:
        yield
    except Exception as error:
        own = str(error) if isinstance(error, UserError) else errors.refusal(error)
        if not (own or collective_failed(error)):
            raise
        print(f"error: process {jax.process_index()} of {count}: {own or _peer_lost(error)}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if own else os.EX_TEMPFAIL)  # an orderly exit would wait for the processes that are gone


def initialize() -> None:
    """Connects to the other processes, if the environment names any or a launcher that JAX knows has started them."""
    if COORDINATOR in os.environ:
        address = os.environ[COORDINATOR]
        count, rank = _integer(NUM_PROCESSES, minimum=1), _integer(RANK, minimum=0)
        if not re.fullmatch(r".+:\d+", address):
            raise UserError(f"{COORDINATOR}: must be HOST:PORT of process 0, not {address!r}")
        print(f"process {rank} of {count} connects to {address}: within {CONNECT_SECONDS} seconds", file=sys.stderr)
        arguments = address, count, rank
    elif max(_launched("SLURM_NTASKS", also="SLURM_STEP_NODELIST"), _launched("OMPI_COMM_WORLD_SIZE")) > 1:
        arguments = None, None, None  # JAX asks the launcher
    else:
        return
    try:
        jax.distributed.initialize(
            *arguments,
            initialization_timeout=CONNECT_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"the training processes did not connect ({why}): start all of them, or set {COORDINATOR}=HOST:PORT "
            f"of process 0, {NUM_PROCESSES} and {RANK} in the environment of each"
        ) from error
    if not is_main_process():
        # Below Python's sys.stdout: C++ libraries print too, and process 0 prints what all of them would.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_main_process() -> bool:
    """Whether this is process 0, or the only one."""
    return jax.process_index() == 0


def agree_max(*numbers: int) -> tuple[int, ...]:
    """The largest value of each number over all processes. A collective: every process must call it."""
    if jax.process_count() == 1:
        return numbers
    gathered = multihost_utils.process_allgather(np.array(numbers, np.int32))  # p n
    return tuple(int(number) for number in gathered.max(0))


def barrier() -> None:
    """Waits until every process has called it."""
    agree_max(0)


def broadcast(text: str) -> str:
    """Process 0's text, which is as long as each process's own. A collective: every process must call it."""
    characters = np.frombuffer(text.encode(), np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(characters), np.uint8)).decode()


def gather_to_host(array: Any) -> Shaped[np.ndarray, "..."]:
    """The whole array, though each process may hold only shards of it. A collective: every process must call it."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable and not array.is_fully_replicated:
        mesh = array.sharding.mesh  # type: ignore[attr-defined]
        array = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(array)
    return np.asarray(array)


def collective_failed(error: Exception) -> bool:
    """Whether the runtime reports a failure between processes. JAX raises some of them as a plain ValueError."""
    return isinstance(error, jax.errors.JaxRuntimeError) or (
        isinstance(error, ValueError) and bool(STATUS.match(str(error)))
    )


def _peer_lost(error: Exception) -> str:
    why = " ".join(str(error).split())
    return (
        f"a step failed, probably because another process has ended ({why}): run the same command again to resume "
        "from the last checkpoint"
    )


def _integer(name: str, *, minimum: int) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal() or int(text) < minimum:
        raise UserError(f"{name}: must be a number, {minimum} or more, where {COORDINATOR} is set, not {text!r}")
    return int(text)


def _launched(count: str, *, also: str = "") -> int:
    """How many processes a launcher has started, by the environment variable `count`; 1 where `also` is not set."""
    text = os.environ.get(count, "")
    return int(text) if text.isdecimal() and (not also or also in os.environ) else 1
