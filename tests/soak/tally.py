"""What a harness did and what came of it: a log of JSON lines, and the rows of a table."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Tally:
    """One row of the final table."""

    tried: int = 0
    resumed: int = 0  # training went on from a checkpoint afterwards
    redone: int = 0  # steps that were taken again
    most: int = 0  # of them, after one fault
    lost: list[str] = field(default_factory=list)


class Log:
    """A JSON line for each thing that was done, and the tallies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tallies: dict[str, Tally] = {}

    def note(self, fault: str, **facts: Any) -> Tally:
        with self.path.open("a", encoding="utf-8") as file:
            print(json.dumps({"fault": fault, **facts}), file=file)
        return self.tallies.setdefault(fault, Tally())

    def lost(self, fault: str, what: str) -> None:
        self.note(fault, lost=what).lost.append(what)

    def rows(self) -> list[dict[str, Any]]:
        """Of the final table."""
        return [
            {
                "what": fault,
                "tried": tally.tried,
                "resumed": tally.resumed,
                "steps redone": tally.redone,
                "at most": tally.most,
                "wrong": len(tally.lost),
            }
            for fault, tally in self.tallies.items()
        ]

    def wrong(self) -> list[str]:
        """All that was lost or differed."""
        return [f"{fault}: {what}" for fault, tally in self.tallies.items() for what in tally.lost]
