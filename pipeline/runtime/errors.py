"""A user's mistake or a machine's limit ends in one clear line and exit code 1, never in a traceback."""

import errno
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import NoReturn

LONGEST = 1_500  # characters of a message
# Schedulers send the last two when a job's time is nearly up.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU)
LIBRARIES = ("FLAX_", "JAX_", "MPL", "NPY_", "TF_", "TQDM_", "XLA_")  # prefixes of their environment variables
OURS = ("pipeline", "runtime")  # our packages: a failed import of theirs is a bug
MISSING = re.compile("Unable to initialize backend|Unknown backend")  # what JAX says of a device
FORBIDDEN = re.compile("Disallowed .* transfer|no_(execution|tracing) config option")  # by a setting of JAX's
GPU_FAILURE = re.compile("CUDA_ERROR|CUBLAS_STATUS|CUDNN_STATUS|cudaError|CUDA driver|PTX|hipError")
SAME_STOP = 1.0  # seconds within which a second Ctrl-C belongs to the first: a terminal's and a launcher's
GRACE = 3.0  # seconds for Python to notice a signal
STOPPED = "stopped: run the same command again"
INSTALL = (
    "`pip install -r requirements.txt` in the package's folder installs what it needs"
    if __package__ == "runtime"  # in a package
    else "is this the project's environment? `. .venv/bin/activate`, after `make repro` has made it"
)
FREE_MEMORY = "end other programs that use it, or lower batch_size or the network's sizes in params.yaml"


class UserError(Exception):
    """What is wrong, where (file, row, key), and the cure, in one line. Quoted text is escaped and shortened to fit."""

    def __init__(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if len(shown) > LONGEST:
            shown = f"{shown[: 3 * LONGEST // 4]} ... {shown[-LONGEST // 4 :]}"
        super().__init__(shown)


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end. Libraries let a KeyboardInterrupt through: an event loop would swallow any
    other exception that is raised in a callback.
    """

    def __init__(self, number: int, message: str = STOPPED) -> None:
        super().__init__(message)
        self.code = 128 + number


class Stop:
    """Whether this process was asked to end, and since when."""

    since: float | None = None

    @classmethod
    def note(cls) -> None:
        if cls.since is None:
            cls.since = time.monotonic()

    @classmethod
    def insists(cls, number: int) -> bool:
        """Whether a further signal may cut short what the process still does to end well: only a second Ctrl-C, which
        is a person's. Others come twice by themselves: `timeout` sends two, schedulers count down with several, and
        the system sends SIGHUP to a terminal's processes after their shell has.
        """
        return number == signal.SIGINT and cls.since is not None and time.monotonic() - cls.since > SAME_STOP


def run(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0 or what it returns, 1 after a UserError, 128 plus its number after a signal."""
    for number in caught():
        signal.signal(number, _stop)
    sys.unraisablehook = _ignored
    _watch_signals()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # asks for a checkpoint, which only training has
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except Stopped as stopped:
        _end(stopped)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has closed it
        sys.stderr.close()
        code = 141
    except Exception as error:
        if not (why := refusal(error)):
            raise
        print(f"error: {why}", file=sys.stderr)
        code = 1
    sys.exit(code)


def caught() -> list[signal.Signals]:
    """The signals that end a process in good order: all but a SIGHUP that `nohup` has switched off."""
    return [one for one in STOPS if one != signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN]


@contextmanager
def signals_wait() -> Iterator[None]:
    """Signals that come inside are acted upon at the end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _stop(number: int, frame: FrameType | None) -> None:
    if Stop.since is None:
        Stop.note()
        raise Stopped(number)
    if Stop.insists(number):
        os._exit(128 + number)


def _end(stopped: Stopped) -> NoReturn:
    """At once: XLA's threads may still be computing, and a normal exit may crash in them."""
    with suppress(OSError, ValueError, AttributeError):  # the terminal may be gone, or there was none
        print(stopped, file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(stopped.code)


def _watch_signals() -> None:
    """Python acts upon a signal only between two of its own instructions: not while the main thread is in a library's
    code, where the training of a tokenizer takes minutes. So a thread ends the process, as a kill would, if a signal
    goes unnoticed for GRACE seconds; in training, which saves before it ends, only a second Ctrl-C does that.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=partial(signal.set_wakeup_fd, -1))  # a forked child's signals are its own
    with signals_wait():  # the thread never has a signal delivered to it
        threading.Thread(target=_watch, args=(reading,), daemon=True, name="signals").start()


def _watch(arrived: int) -> None:
    interrupted: float | None = None
    while True:
        number, came = os.read(arrived, 1)[0], time.monotonic()
        again = number == signal.SIGINT and interrupted is not None and came - interrupted > SAME_STOP
        if number == signal.SIGINT:
            interrupted = interrupted or came
        if number in STOPS:
            timer = threading.Timer(GRACE, _end_if_unnoticed, (number, again))
            timer.daemon = True
            timer.start()


def _end_if_unnoticed(number: int, again: bool) -> None:
    if again or (Stop.since is None and signal.getsignal(number) is _stop):
        _end(Stopped(number))


def _ignored(error: "sys.UnraisableHookArgs") -> None:
    """Sends a signal again whose Stopped was raised where Python ignores every exception: in a finaliser, a weak
    reference's callback or one of the garbage collector, of which JAX has some. From a thread, a moment later, since
    the callback has not ended yet.
    """
    if not isinstance(error.exc_value, Stopped):
        sys.__unraisablehook__(error)
        return
    Stop.since = None
    again = threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), error.exc_value.code - 128))
    again.daemon = True
    again.start()


def refusal(error: BaseException) -> str | None:
    """Which limit or setting of the machine an error comes from, in one line with the cure; None for a bug of the
    program.
    """
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        on_gpu = "GPU" in text or "CUDA" in text
        where = "GPU memory (nvidia-smi shows which programs use it)" if on_gpu else "memory"
        return f"out of {where}: {FREE_MEMORY}"
    if isinstance(error, ImportError) and (name := error.name) and name.partition(".")[0] not in OURS:
        return f"{name} cannot be imported ({text[:300]}): {INSTALL}"
    if not isinstance(error, OSError):
        return _device(error, text) or _setting(error, text)
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


def _device(error: BaseException, text: str) -> str | None:
    """The message for a device that is not there, or fails; None for any other error."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    # JAX asserts that some platform is left.
    none_left = isinstance(error, AssertionError) and not text and _by_jax(error)
    if MISSING.search(text) or (platforms and none_left):
        why = text.partition(": ")[2].partition(" (set JAX_PLATFORMS")[0].rstrip(".") or "its libraries are missing"
        where = f"JAX_PLATFORMS={platforms}: there is no such device here" if platforms else "JAX finds no device"
        return (
            f"{where} ({why}): unset JAX's environment variables to use what there is; a GPU needs `pip install "
            "'.[cuda]'`"
        )
    if isinstance(error, RuntimeError) and GPU_FAILURE.search(text):
        return (
            f"the GPU fails ({text[:300]}): check that `nvidia-smi` lists it and that the driver is new enough for "
            "`pip install '.[cuda]'`, or set JAX_PLATFORMS=cpu"
        )
    return None


def _by_jax(error: BaseException) -> bool:
    """Whether JAX's code raised it: its frames may be left out of the traceback, and then a note says so."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    last = frames[-1].f_globals.get("__name__", "") if frames else ""
    return last.startswith("jax.") or "JAX" in "".join(getattr(error, "__notes__", ()))


def _setting(error: BaseException, text: str) -> str | None:
    """The message for an environment variable whose value a library rejects, or that forbids what a stage does."""
    if isinstance(error, RuntimeError) and FORBIDDEN.search(text):
        names = [name for name in os.environ if name.startswith(("JAX_TRANSFER_GUARD", "JAX_NO_"))]
        return f"{', '.join(names)}: forbids what every stage does ({text[:300]}): unset it" if names else None
    if isinstance(error, ValueError):
        for name, value in os.environ.items():
            if name.startswith(LIBRARIES) and value and (f"'{value}'" in text or f'"{value}"' in text):
                return f"{name}={value}: not a valid value ({text[:300]}): correct or unset it"
    return None
