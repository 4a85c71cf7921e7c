"""python -m pipeline COMMAND: the stages that `dvc repro` runs, and the commands that people type.

A command's module is imported only when it runs, so help and a mistyped name answer at once.
"""

import importlib
import importlib.util
import os
import subprocess
import sys

# Whether this Python is that of the project's environment.
USABLE = sys.version_info >= (3, 11) and all(map(importlib.util.find_spec, ("jax", "pydantic", "ruamel")))


def start_in_environment() -> None:
    """Restarts with the Python of the DVC that runs this stage, or exits with an error. Where the environment is not
    active, `.venv/bin/dvc repro` starts stages with the system's Python, which may be too old for all but this file.
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


if not USABLE:
    start_in_environment()
if any("\udc80" <= letter <= "\udcff" for letter in __file__):
    start_in_utf8()

from pipeline.runtime import environment, errors, printing  # noqa: E402

# Read early: once the parent has ended, getppid() names another process.
STARTED_BY = os.getppid()

STAGES = {
    "prepare": "any source -> one Parquet table per split",
    "preprocess": "tables -> arrays, and what encodes new inputs",
    "train": "arrays -> a trained model",
    "evaluate": "metrics, plots and explanations on the test splits",
    "package": "a folder that loads elsewhere, checked against evaluate",
}
COMMANDS = {
    "add": "look at your data and write its section into params.yaml",
    "describe": "what the prepared data is like, with a page of examples",
    "predict": "label inputs, rate texts or continue them with a package",
    "plan": "the memory and time that training a language model takes",
    "config": "show the settings in effect, defaults included",
    "check": "check the whole of params.yaml, and repair a damaged dvc.lock",
    "verify": "run the last commit again in a clone, and compare every output",
    "checkpoints": "list or remove the checkpoints of unfinished training runs",
    "selftest": "compare a package's answers with evaluate's",
    "on-ray": "run a command in each worker of a Ray cluster",
}


def main() -> int | None:
    name, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in STAGES | COMMANDS:
        print(f"error: no command {name!r}; the commands: {', '.join(STAGES | COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m pipeline {name}", *arguments]
    printing.set_up()
    environment.set_up()
    if name not in STAGES:
        return importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}").main()
    if arguments in (["-h"], ["--help"]):
        print(f"{sys.argv[0]}: {STAGES[name]}. It takes no arguments: params.yaml has its settings.")
        return 0
    if arguments:
        print(f"error: {name} takes no arguments: params.yaml has its settings", file=sys.stderr)
        return 2
    with errors.signals_wait():  # a signal while a library loads would make it print an error of its own
        from pipeline.stages import runner

    return runner.run(name, started_by=STARTED_BY)


def usage() -> str:
    lines = ["usage: python -m pipeline COMMAND [ARGUMENT ...]"]
    for title, commands in (("stages, in the order in which `dvc repro` runs them:", STAGES), ("commands:", COMMANDS)):
        lines += ["", title, *(f"  {name:12} {summary}" for name, summary in commands.items())]
    return "\n".join([*lines, "", "`python -m pipeline COMMAND --help` explains a command's arguments."])


if __name__ == "__main__":
    errors.run(main)
