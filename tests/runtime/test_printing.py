"""What is printed is text, whatever the terminal, and ends nothing."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.runtime import printing

NAMES = "\u65e5\u672c $x$ caf\udce9 \u202eevil \x1b[31mred\n"


def ascii_alone(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What arrives at a standard output that shows ASCII alone."""
    arrived = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(arrived, encoding="ascii", newline="\n"))
    printing.set_up()
    return arrived


@contextmanager
def nobody_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard output is a pipe whose reader has ended."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, open(os.devnull, "w") as silence:
        monkeypatch.setattr(sys, "stdout", pipe)
        printing.set_up()
        yield
        os.dup2(silence.fileno(), write)  # what is left in the buffer has to go somewhere


def test_what_a_terminal_cannot_show_or_would_obey_is_escaped(monkeypatch):
    arrived = ascii_alone(monkeypatch)
    print(NAMES, end="", flush=True)
    assert arrived.getvalue() == rb"\u65e5\u672c $x$ caf\udce9 \u202eevil \x1b[31mred" + b"\n"


def test_a_files_content_is_utf_8_and_as_it_is(monkeypatch):
    arrived = ascii_alone(monkeypatch)
    printing.content()
    print(NAMES, end="", flush=True)
    assert arrived.getvalue() == NAMES.encode("utf-8", "backslashreplace")


def test_a_stage_outlives_the_reader_of_its_output(monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with nobody_reads(monkeypatch):
        printing.outlive_readers()
        for _ in range(3):
            print("a line", flush=True)


def test_a_command_does_not(monkeypatch):
    with nobody_reads(monkeypatch), pytest.raises(BrokenPipeError):
        print("a line", flush=True)


def test_an_output_that_was_closed_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    printing.set_up()
    print("a line", flush=True)
    sys.stdout.close()
