"""A user's mistake or a machine's limit ends in one clear line and exit code 1, never in a traceback."""

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LONGEST = 1_500  # characters of a message
FREE_MEMORY = "end other programs that use it, or lower batch_size or the network's sizes in params.yaml"


class UserError(Exception):
    """What is wrong, where (file, row, key), and the cure, in one line. Quoted text is escaped and shortened to fit."""

    def __init__(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if len(shown) > LONGEST:
            shown = f"{shown[: 3 * LONGEST // 4]} ... {shown[-LONGEST // 4 :]}"
        super().__init__(shown)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM asked the process to end. `except Exception` does not catch it."""

    def __init__(self, number: int, message: str = "stopped: run the same command again") -> None:
        super().__init__(message)
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
        os._exit(stopped.code)  # at once: XLA's threads may still be computing, and a normal exit may crash in them
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has closed it
        sys.stderr.close()
        code = 141
    except Exception as error:
        if not (why := refusal(error)):
            raise
        print(f"error: {why}", file=sys.stderr)
        code = 1
    sys.exit(code)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM that come inside are acted upon at the end."""
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def refusal(error: BaseException) -> str | None:
    """Which limit of the machine an error comes from, in one line with the cure; None for a bug of the program."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        on_gpu = "GPU" in text or "CUDA" in text
        where = "GPU memory (nvidia-smi shows which programs use it)" if on_gpu else "memory"
        return f"out of {where}: {FREE_MEMORY}"
    if not isinstance(error, OSError):
        return None
    # Some libraries pass on the system's message without its number, or with the file's name only inside the text.
    quoted = re.findall(r"'([^']+)'", text)
    where = next((str(name) for name in (error.filename2, error.filename, *quoted) if name), "a file")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or (
        error.errno is None and shutil.disk_usage(".").free < 1 << 20
    )
    if full or os.strerror(errno.ENOSPC) in text:
        return f"no space left on the disk for {where}: free some, then run the same command again"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{where}: {os.strerror(error.errno or errno.EACCES).lower()}: make it readable and writable for you"
    if error.errno == errno.EFBIG:
        return f"{where}: larger than the limit for files (`ulimit -f`): raise the limit"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files: raise the limit, for example with `ulimit -n 4096`"
    # Any other error is about one file, and the system's message says all there is to say.
    return f"{where}: {error.strerror.lower()}" if error.strerror else None
