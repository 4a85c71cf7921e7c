"""Asks the user to choose, on a terminal; elsewhere an error says which flag chooses."""

import sys
from collections.abc import Sequence

from pipeline.inspection.roles import Option
from pipeline.runtime.errors import UserError


def choose(question: str, options: Sequence[Option]) -> Option:
    """The option that the user picks. Raises UserError where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise UserError(f"{question} Choose one with {'; or '.join(f'{one.flag} ({one.why})' for one in options)}")
    print(question)
    for number, option in enumerate(options, start=1):
        print(f"  {number}. {option.flag}: {option.why}")
    while True:
        answer = _line(f"1 to {len(options)}: ")
        if answer.isdecimal() and 1 <= int(answer) <= len(options):
            return options[int(answer) - 1]


def agreed(question: str) -> bool:
    """Whether the user agrees; where there is nobody to ask, the command itself says so."""
    return not sys.stdin.isatty() or _line(f"{question} [Y/n] ").lower() in ("", "y", "yes")


def _line(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError as error:
        raise UserError("no answer: nothing is written") from error
