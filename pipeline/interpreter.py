"""The Python that runs the pipeline: that of the project's environment, and in UTF-8 where the locale cannot write the
name of the project's folder. Another one is replaced, or named in an error.

This file must run on a Python that is too old for all others.
"""

import importlib.util
import os
import subprocess
import sys

# Whether this Python is that of the project's environment.
USABLE = sys.version_info >= (3, 11) and all(map(importlib.util.find_spec, ("jax", "pydantic", "ruamel")))


def ensure() -> None:
    """Returns where this Python will do; restarts with another one, or exits with an error, where not."""
    if not USABLE:
        start_in_environment()
    if any("\udc80" <= letter <= "\udcff" for letter in __file__):
        start_in_utf8()


def start_in_environment() -> None:
    """Restarts with the Python of the DVC that runs this stage, or exits with an error. Where the environment is not
    active, `.venv/bin/dvc repro` starts stages with the system's Python.
    """
    python = python_of_dvc()
    if python and os.path.dirname(python) != os.path.dirname(sys.executable):
        os.execv(python, [python, "-m", "pipeline", *sys.argv[1:]])
    major, minor = sys.version_info[:2]
    sys.exit(
        f"error: {sys.executable} (Python {major}.{minor}) is not this project's environment: activate it with "
        "`. .venv/bin/activate` (`make repro` creates it)"
    )


def python_of_dvc() -> str:
    """The Python of the DVC process that started this one, directly or not; "" where there is none."""
    pid = os.getppid()
    while pid > 1:
        try:
            if os.path.isdir("/proc/self"):
                with open(f"/proc/{pid}/cmdline") as command, open(f"/proc/{pid}/stat") as stat:
                    words, parent = command.read().split("\0"), stat.read().rpartition(")")[2].split()[1]
            else:
                parent, *words = subprocess.check_output(["ps", "-o", "ppid=,args=", "-p", str(pid)]).decode().split()
        except (OSError, ValueError, subprocess.CalledProcessError):
            return ""
        if os.path.basename(words[1] if len(words) > 1 else "") == "dvc" or words[1:3] == ["-m", "dvc"]:
            return words[0] if os.path.isfile(words[0]) else ""
        pid = int(parent)
    return ""


def start_in_utf8() -> None:
    """Restarts in Python's UTF-8 mode, or exits with an error. Called where Python cannot decode the path of the
    project's folder, on which JAX would fail. Standard output keeps its encoding.
    """
    if sys.flags.utf8_mode:
        sys.exit("error: the name of the project's folder, or of one above it, is not UTF-8: rename it")
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding if sys.stdout else "utf-8")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "pipeline", *sys.argv[1:]])
