"""python -m runtime COMMAND, in the folder of a package: what it answers without the project that made it."""

import importlib
import sys

from . import environment, errors, printing

COMMANDS = {
    "predict": "label inputs, rate texts or continue them",
    "serve": "answer inputs over HTTP, with a page",
}


def main() -> int | None:
    name, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"error: no command {name!r}; the commands: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m {__package__} {name}", *arguments]
    printing.set_up()
    environment.set_up()
    return importlib.import_module(f".commands.{name}", __package__).main()


def usage() -> str:
    commands = (f"  {name:12} {summary}" for name, summary in COMMANDS.items())
    lines = [f"usage: python -m {__package__} COMMAND . [ARGUMENT ...]", "", *commands, ""]
    return "\n".join([*lines, f"`python -m {__package__} COMMAND --help` explains a command's arguments."])


if __name__ == "__main__":
    errors.run(main)
