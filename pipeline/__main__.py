"""python -m pipeline COMMAND: the stages that `dvc repro` runs, and the commands that people type.

A command's module is imported only when it runs, so help and a mistyped name answer at once.
"""

import importlib
import os
import sys

from pipeline import interpreter

interpreter.ensure()  # before anything is imported that this Python may not have

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
    "serve": "answer inputs over HTTP, with a page",
    "compare": "whether two runs differ by more than chance, and where",
    "plan": "the memory and time that training a language model takes",
    "config": "show the settings in effect, defaults included",
    "check": "check the whole of params.yaml, and repair a damaged dvc.lock",
    "verify": "run the last commit again in a clone, and compare every output",
    "label-errors": "rank the training labels that are likely wrong",
    "checkpoints": "list or remove the checkpoints of unfinished training runs",
    "selftest": "compare a package's answers with evaluate's",
    "repackage": "make a package anew with today's code, from its weights",
    "sign": "sign a package, so that others can require your signature",
    "on-ray": "run a command in each worker of a Ray cluster",
}
# Where the modules are that are not in commands/.
ELSEWHERE = {
    "compare": "commands.comparison",
    "predict": "runtime.commands",
    "serve": "runtime.commands",
    "repackage": "commands.packages",
    "sign": "commands.packages",
    "label-errors": "commands.labels",
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
        module = f"pipeline.{ELSEWHERE.get(name, 'commands')}.{name.replace('-', '_')}"
        return importlib.import_module(module).main()
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
