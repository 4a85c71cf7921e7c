"""A process in which a packaged model runs. Python runs on one core at a time in a process: in its own, the model and
the decoding of images take none of the time of the thread that talks to clients.
"""

import asyncio
import atexit
import gc
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from ... import environment, strict_json
from ...errors import UserError
from ...inputs import Arrays, Raw
from ...package import read_object
from ...predictor import Predictor
from . import memory
from .explainer import Answers, Asked


class Given(NamedTuple):
    """An input as a client sent it, and what errors call it."""

    content: Raw
    name: str


Outputs: TypeAlias = Float[np.ndarray, "*t k"]
SIZE = struct.Struct("=Q")  # before each answer: its bytes
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """The process ended, such as by the system for want of memory."""


class Worker:
    """Of a package, warm."""

    @classmethod
    async def start(cls, folder: Path, engine: str) -> "Worker":
        """Raises UserError for a package that cannot be loaded."""
        context = multiprocessing.get_context("spawn")
        (answers, theirs), (explanations, theirs_too) = socket.socketpair(), socket.socketpair()
        process = context.Process(target=_main, args=(folder, engine, theirs, theirs_too), daemon=True)
        process.start()
        atexit.register(process.kill)  # it outlives every other signal
        theirs.close()
        theirs_too.close()
        worker = cls(process, await Line.open(answers), await Line.open(explanations))
        try:
            worker.engine = await worker._answers.ask(None)
        except Ended as end:
            raise UserError(f"{folder}: its process ended while it started: is there enough memory?") from end
        finally:
            if not worker.engine:
                await worker.close()
        return worker

    def __init__(self, process: SpawnProcess, answers: "Line", explanations: "Line") -> None:
        self._process, self._answers, self._explanations = process, answers, explanations
        self.engine = ""  # its name

    async def outputs(self, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
        """What the model says of each input, or what is wrong with it. Raises Ended."""
        return await self._answers.ask(given)

    async def explain(self, asked: Asked) -> dict[str, Any]:
        """The answer, and what spoke for it. Raises UserError and Ended."""
        return await self._explanations.ask(asked)

    async def warm_up(self) -> None:
        """Compiles what explanations need. Raises UserError and Ended."""
        await self._explanations.ask(None)

    async def close(self) -> None:
        self._answers.close()
        self._explanations.close()
        await asyncio.to_thread(self._process.join)
        atexit.unregister(self._process.kill)


class Line:
    """To a process that answers what it is asked in this order."""

    @classmethod
    async def open(cls, end: socket.socket) -> "Line":
        is_unix = hasattr(socket, "AF_UNIX") and end.family == socket.AF_UNIX
        return cls(*await (asyncio.open_unix_connection(sock=end) if is_unix else asyncio.open_connection(sock=end)))

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._reading = asyncio.create_task(self._read())

    async def ask(self, asked: Any) -> Any:
        """Raises what the process raised, and Ended."""
        if self._reading.done():
            raise Ended
        answer = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._writer.write(pickle.dumps(asked, pickle.HIGHEST_PROTOCOL))
        return await answer

    def close(self) -> None:
        self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                (size,) = SIZE.unpack(await self._reader.readexactly(SIZE.size))
                result = pickle.loads(await self._reader.readexactly(size))
                answer = self._asked.popleft()
                if answer.done():  # nobody waits for it any more
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(Ended())
            self._asked.clear()


def _main(folder: Path, engine: str, answers: socket.socket, explanations: socket.socket) -> None:
    """In the process. It ends when the server closes its ends of the lines, or is no more."""
    for number in STOPS:  # a terminal, or a service manager, sends them to all processes: the server answers first
        signal.signal(number, signal.SIG_IGN)
    try:
        environment.set_up()
        memory.use_one_arena()
        predictor = Predictor(folder, engine, shared=True)
        _warm_up(predictor, folder)
    except Exception as error:
        problem = error
        _serve(answers, lambda _: _as_sent(problem))
        return
    of = Answers(predictor, folder)

    def explain(asked: Asked | None) -> dict[str, Any] | None:
        if asked is not None:
            return of.explain(asked)
        of.warm_up()
        memory.return_unused()
        return None

    def answer(given: Sequence[Given | Arrays] | None) -> list[Outputs | UserError] | str:
        return predictor.engine.name if given is None else _outputs(predictor, given)

    threading.Thread(target=_serve, args=(explanations, explain), daemon=True).start()
    gc.freeze()  # what is loaded stays: it need not be searched for garbage
    _serve(answers, answer)
    os._exit(0)  # an explanation may be compiled, which nobody waits for


def _serve(line: socket.socket, answer: Callable[[Any], Any]) -> None:
    with suppress(EOFError, OSError), line.makefile("rb") as asked, line.makefile("wb") as answered:
        while True:
            given = pickle.load(asked)
            try:
                result = answer(given)
            except Exception as error:
                result = _as_sent(error)
            content = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
            answered.write(SIZE.pack(len(content)) + content)
            answered.flush()


def _outputs(predictor: Predictor, given: Sequence[Given | Arrays]) -> list[Outputs | UserError]:
    encoded = [_encoded(predictor, one) if isinstance(one, Given) else one for one in given]
    outputs = iter(predictor.outputs([one for one in encoded if not isinstance(one, UserError)]))
    return [one if isinstance(one, UserError) else next(outputs) for one in encoded]


def _encoded(predictor: Predictor, given: Given) -> Arrays | UserError:
    try:
        return predictor.encode(*given)
    except UserError as error:
        return error


def _warm_up(predictor: Predictor, folder: Path) -> None:
    """Runs every shape that a request can have, where each is compiled, so that no request waits for that."""
    sample = strict_json.read(folder / "sample" / "expected.json")["samples"][0]
    content = (folder / "sample" / sample["file"]).read_bytes() if "file" in sample else None
    arrays = predictor.encode(content or sample.get("words") or sample["text"], "the first sample")
    predictor.outputs([arrays])
    if not predictor.engine.compiles:
        return
    for length in read_object(folder / "signature.json", "buckets")["buckets"].get("length", [0]):
        stretched = tuple(np.resize(array, (length, *array.shape[1:])) if length else array for array in arrays)
        for size in (1, 2):  # alone, and in a full batch
            predictor.outputs([stretched] * size)


def _as_sent(error: Exception) -> Exception:
    """What the server makes of an error depends on its kind; a bug's traceback is for the log."""
    if isinstance(error, UserError | MemoryError | OSError | ImportError):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))
