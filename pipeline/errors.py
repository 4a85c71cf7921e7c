"""A user's mistake ends in one clear line and exit code 1, never in a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """What is wrong, where (file, row, key), and the cure, in one line."""


def run(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0 or what it returns, 1 after a UserError, 130 after ctrl-C."""
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("stopped: the same command starts it again", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of a pipe, `head` say, had enough
        sys.stderr.close()
        code = 141
    sys.exit(code)
