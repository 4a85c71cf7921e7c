"""Starts a command several times, as processes that train as one: python tests/harness/launch.py COUNT COMMAND...

Unlike srun or mpirun it ends none when another has ended: what they do by themselves is to be seen.
"""

import os
import socket
import subprocess
import sys


def main(count: int, command: list[str]) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = {"JAX_COORDINATOR_ADDRESS": address, "TRAIN_NPROCS": str(count)}
    started = [subprocess.Popen(command, env={**os.environ, **told, "TRAIN_RANK": str(rank)}) for rank in range(count)]
    return max(abs(process.wait()) for process in started)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
