"""A user's mistake, or a machine's refusal, ends in one clear line and exit code 1, never in a traceback."""

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType

LONGEST = 1_500  # characters of a message
OTHERWISE = "free what else uses it, or lower batch_size or the network's sizes in params.yaml"


class UserError(Exception):
    """What is wrong, where (file, row, key), and the cure, in one line: whatever is quoted in it is made to fit."""

    def __init__(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if len(shown) > LONGEST:
            shown = f"{shown[: 3 * LONGEST // 4]} ... {shown[-LONGEST // 4 :]}"
        super().__init__(shown)


class Stopped(BaseException):
    """The process was asked to end, by ctrl-C or SIGTERM. No `except Exception` holds it up."""

    def __init__(self, number: int, how: str = "stopped: the same command starts it again") -> None:
        super().__init__(how)
        self.code = 128 + number


def run(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0 or what it returns, 1 after a UserError, 130 after ctrl-C, 143 after SIGTERM."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stopped.code)  # at once: XLA's threads may still compute, and do not outlive an orderly end
    except BrokenPipeError:  # the reader of a pipe, `head` say, had enough
        sys.stderr.close()
        code = 141
    except Exception as error:
        if not (why := refusal(error)):
            raise
        print(f"error: {why}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def refusal(error: BaseException) -> str | None:
    """What the machine would not do, in one line with the cure; None for a mistake of the program's own."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        where = (
            "the GPU's memory (nvidia-smi shows by whom it is used)" if "GPU" in text or "CUDA" in text else "memory"
        )
        return f"out of {where}: {OTHERWISE}"
    if not isinstance(error, OSError):
        return None
    # Some libraries pass on what the system said, but not its number, or not the file's name but within a sentence.
    quoted = re.findall(r"'([^']+)'", text)
    where = next((str(name) for name in (error.filename2, error.filename, *quoted) if name), "a file")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or (
        error.errno is None and shutil.disk_usage(".").free < 1 << 20
    )
    if full or os.strerror(errno.ENOSPC) in text:
        return f"no space left on the disk while {where} was written: free some, and the same command goes on"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{where}: {os.strerror(error.errno or errno.EACCES).lower()}: make it readable and writable for you"
    if error.errno == errno.EFBIG:
        return f"{where}: grew beyond the largest file that is allowed here (`ulimit -f`): raise the limit"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files: raise the limit, `ulimit -n 4096` say"
    # The rest is of one file's state: what the system says of it is all that there is to say.
    return f"{where}: {error.strerror.lower()}" if error.strerror else None
