"""How `predict` prints answers: as a table, as JSON Lines or as CSV."""

import csv
import json
import sys
from typing import Any, Protocol

from pipeline.runtime.tasks import Answer, Answers


class Form(Protocol):
    """One output form, for one task."""

    def write(self, name: str, content: Any, answer: Answer) -> None:
        """Prints the answer to one input."""
        ...


class Table:
    """Columns for people to read."""

    def __init__(self, task: Answers) -> None:
        self._task, self._title = task, task.title

    def write(self, name: str, content: Any, answer: Answer) -> None:
        if self._title:  # printed with the first answer, so that an error stands alone
            print(self._title)
            self._title = None
        print(self._task.line(name, content, answer).replace("\n", "\\n"))  # a label may contain a line break


class Json:
    """One JSON object per line."""

    def __init__(self, task: Answers) -> None:
        pass

    def write(self, name: str, content: Any, answer: Answer) -> None:
        words = {"words": content} if isinstance(content, list) else {}
        print(json.dumps({"input": name, **words, **answer}, ensure_ascii=False))


class Csv:
    """Comma-separated values: a row for each input, or for each of its tokens."""

    def __init__(self, task: Answers) -> None:
        self._task = task
        self._table = csv.writer(sys.stdout, lineterminator="\n")
        self._table.writerow(["input", *task.columns])

    def write(self, name: str, content: Any, answer: Answer) -> None:
        for row in self._task.rows(content, answer):
            self._table.writerow([name, *row])
