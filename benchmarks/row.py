"""A row of the table: something that is timed here and, by turns in the same run, in what people would use instead."""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

OURS_ALONE = ("NPROC", "XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE")  # what this project sets for its own processes


class OtherWork(Exception):
    """A peer did not do the same work."""


@dataclass(frozen=True)
class Options:
    """How a benchmark runs."""

    rounds: int = 3
    quick: bool = False  # each once, and small
    peers: Path | None = None  # the Python that has Keras, PyTorch and ONNX Runtime
    servers: Path | None = None  # the Python that has LitServe and MLServer
    package: Path = Path("package")  # of images


class Turn(NamedTuple):
    """What one run of one side gives."""

    figure: float
    facts: Mapping[str, float] = {}  # that both sides must have in common


Ways = Mapping[str, Callable[[], Turn]]  # by the name of the setting


@dataclass(frozen=True)
class Row:
    """Figures are one for each round; rates have a unit that ends in /s, and the rest are times."""

    what: str
    unit: str
    ours: tuple[float, ...]
    peer: str = ""
    theirs: tuple[float, ...] = ()
    same: str = ""  # what shows that both did the same work
    least: float | None = None  # ratio below which a fast path is lost
    failed: str = ""  # why there are no figures

    @property
    def ratios(self) -> tuple[float, ...]:
        """Above 1 where we are faster."""
        is_rate = self.unit.endswith("/s")
        return tuple(a / b if is_rate else b / a for a, b in zip(self.ours, self.theirs))

    @property
    def problem(self) -> str:
        """What the command fails for; empty where all is well."""
        if not self.failed and self.least and (ratio := statistics.median(self.ratios)) < self.least:
            return f"{self.what}: {ratio:.2f} times as fast as {self.peer}, and must be {self.least:g} times"
        return f"{self.what}: {self.failed}" if self.failed else ""

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        if self.failed:
            return self.what, "", "failed", self.peer, "", "", self.failed.splitlines()[0]
        ratio = spread(self.ratios, "{:.2f}".format) if self.theirs else ""
        unit = self.unit.replace("/s", " a second")
        ours, theirs = (f"{spread(figures, number)} {unit}" if figures else "" for figures in (self.ours, self.theirs))
        guard = f"the command fails below {self.least:g}" if self.least else ""
        return self.what, str(len(self.ours)), ours, self.peer, theirs, ratio, self.same or guard

    def __str__(self) -> str:
        what, _, ours, peer, theirs, ratio, same = self.cells()
        beside = f"; {peer}: {theirs}; ratio {ratio}" if peer else ""
        return f"{what}: {ours}{beside}{f' [{same}]' if same else ''}"


def in_turns(
    what: str,
    unit: str,
    ours: Ways,
    theirs: Ways | None = None,
    *,
    rounds: int,
    within: Mapping[str, float] | None = None,
    same: str = "",
    least: float | None = None,
) -> Row:
    """Runs every way once a round. Of several settings of a side, the one with the best median counts.

    `within` names the facts that both sides must share, and how far they may lie apart, as a share. Where a side fails,
    or does other work, the row says so.
    """
    ways = [*ours.items(), *(theirs or {}).items()]
    done: list[dict[str, Turn]] = []
    for number_of_round in range(rounds):
        try:
            done.append({name: way() for name, way in ways})
        except Exception as error:  # the other rows still run
            return Row(what, unit, (), ", ".join(theirs or {}), failed=f"{type(error).__name__}: {error}")
        figures = ", ".join(f"{name or 'here'} {told(turn)}" for name, turn in done[-1].items())
        print(f"  {what}, round {number_of_round + 1}, {unit}: {figures}", flush=True)
    return of_rounds(what, unit, done, tuple(theirs or ()), within=within, same=same, least=least)


def of_rounds(
    what: str,
    unit: str,
    rounds: Sequence[Mapping[str, Turn]],
    peers: Sequence[str] = (),
    *,
    within: Mapping[str, float] | None = None,
    same: str = "",
    least: float | None = None,
) -> Row:
    """A row of rounds that are done: those of `peers` are the other side's, by the names of the settings."""

    def best(names: Sequence[str]) -> str:
        middle = {name: statistics.median(turns[name].figure for turns in rounds) for name in names}
        return (max if unit.endswith("/s") else min)(middle, key=lambda name: middle[name])

    name = best([name for name in rounds[0] if name not in peers])
    what = f"{what}, {name}" if name else what
    ours = tuple(turns[name].figure for turns in rounds)
    if not peers:
        return Row(what, unit, ours, same=same, least=least)
    peer = best(peers)
    theirs = tuple(turns[peer].figure for turns in rounds)
    try:
        shared = [agreed(turns[name].facts, turns[peer].facts, within or {}) for turns in rounds]
    except OtherWork as error:
        return Row(what, unit, (), peer, failed=str(error))
    return Row(what, unit, ours, peer, theirs, "; ".join(filter(None, (same, shared[-1]))), least)


def agreed(ours: Mapping[str, float], theirs: Mapping[str, float], within: Mapping[str, float]) -> str:
    """The facts in words. Raises OtherWork where they lie too far apart."""
    words = []
    for name, share in within.items():
        here, there = ours[name], theirs[name]
        if not abs(here - there) <= share * abs(here):
            raise OtherWork(f"{name} is {here:,.6g} here and {there:,.6g} in the peer, which is other work")
        both = number(here) if here == there else f"{number(here)} and {number(there)}"
        words.append(f"{name} {both}")
    return ", ".join(words)


def told(turn: Turn) -> str:
    facts = ", ".join(f"{name} {number(value)}" for name, value in turn.facts.items())
    return f"{number(turn.figure)} ({facts})" if facts else number(turn.figure)


def number(figure: float) -> str:
    """With about three digits, and all of those before the point."""
    if isinstance(figure, int) or abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}" if abs(figure) < 1 else f"{figure:#.3g}"


def spread(figures: Sequence[float], form: Callable[[float], str]) -> str:
    middle = form(statistics.median(figures))
    return middle if len(figures) == 1 else f"{middle} ({form(min(figures))} to {form(max(figures))})"


def answer(*command: str | Path, cwd: Path | None = None, own: bool = False) -> Turn:
    """What a process prints on its last line: its figure, and facts. `own`: it is this project's."""
    kept = {name: value for name, value in os.environ.items() if own or name not in OURS_ALONE}
    found: dict[str, float] = json.loads(output(*command, cwd=cwd, env=kept).splitlines()[-1])
    return Turn(found.pop("figure", 0.0), found)


def output(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a process prints. Where it fails, the error has what it said."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{Path(command[0]).name} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}"
        )
    return done.stdout
