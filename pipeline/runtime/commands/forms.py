"""How `predict` prints answers: as a table, as JSON Lines, as CSV or as CoNLL."""

import argparse
import csv
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np
from jaxtyping import Float

from ..errors import UserError
from . import file_form
from .views import Given, Likeliest, Spans, View

if TYPE_CHECKING:
    from ..explanations.explainer import Explanation
    from ..predictor import Predictor


class FromTable(Given, Protocol):
    @property
    def row(self) -> Mapping[str, Any] | None: ...  # of the table that it was read from, if that is kept


class Form(ABC):
    """One output form, for one view of answers."""

    def __init__(self, view: View) -> None:
        self._view = view

    @abstractmethod
    def write(
        self, given: FromTable, outputs: Float[np.ndarray, "*t k"], explanation: "Explanation | None" = None
    ) -> None:
        """Prints the answer to one input."""

    def skip(self, given: FromTable) -> None:  # noqa: B027
        """What stands for an input that cannot be read."""


class Table(Form):
    """Columns for people to read."""

    _has_title = False

    def write(
        self, given: FromTable, outputs: Float[np.ndarray, "*t k"], explanation: "Explanation | None" = None
    ) -> None:
        if self._view.title and not self._has_title:  # with the first answer, so that an error stands alone
            print(self._view.title)
        self._has_title = True
        for line in self._view.lines(given, self._view.answer(given, outputs)):
            print(line.replace("\n", "\\n"))  # a label may contain a line break
        if explanation is not None:
            explanation.show()


class Json(Form):
    """One JSON object per line."""

    def write(
        self, given: FromTable, outputs: Float[np.ndarray, "*t k"], explanation: "Explanation | None" = None
    ) -> None:
        words = {"words": given.content} if isinstance(given.content, list) else {}
        content = {"input": given.name, **words, **self._view.json(self._view.answer(given, outputs))}
        if explanation is not None:
            content["explanations"] = explanation.facts
        print(json.dumps(content, ensure_ascii=False))


class Csv(Form):
    """Comma-separated values: a row for each input, or for each of its tokens. Its columns are the input's name, or
    those of the table that it was read from, and those of the answer.
    """

    def __init__(self, view: View, kept: Sequence[str] | None = None, out: TextIO | None = None) -> None:
        super().__init__(view)
        self._table, self._kept = csv.writer(out or sys.stdout, lineterminator="\n"), kept
        self._table.writerow(["input", *view.columns] if kept is None else [*kept, *distinct(view.columns, kept)])

    def write(
        self, given: FromTable, outputs: Float[np.ndarray, "*t k"], explanation: "Explanation | None" = None
    ) -> None:
        for row in self._view.rows(given, self._view.answer(given, outputs)):
            self._table.writerow([*self._cells(given), *row])

    def skip(self, given: FromTable) -> None:
        """A row of a table stays, without an answer: it has as many rows then as before."""
        if given.row is not None:
            self._table.writerow([*self._cells(given), *("" for _ in self._view.columns)])

    def _cells(self, given: FromTable) -> list[Any]:
        if self._kept is None:
            return [given.name]
        row = given.row or {}
        return [cell(row.get(name)) for name in self._kept]


def cell(value: Any) -> Any:
    """A cell of JSON Lines or Parquet, as CSV holds it."""
    if isinstance(value, list | dict | bool):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None or value != value else value


def distinct(columns: Sequence[str], taken: Sequence[str]) -> list[str]:
    """The names of an answer's columns beside those of the input: one that both have begins with `predicted` here."""
    found: list[str] = []
    for column in columns:
        name, number = column if column not in taken else f"predicted {column}", 2
        while name in taken or name in found:
            name, number = f"predicted {column} {number}", number + 1
        found.append(name)
    return found


class Conll(Form):
    """A word, a tab and its tag on each line, and an empty line after each sentence."""

    def write(
        self, given: FromTable, outputs: Float[np.ndarray, "*t k"], explanation: "Explanation | None" = None
    ) -> None:
        labels = self._view.answer(given, outputs)["labels"]
        print("".join(f"{word}\t{label}\n" for word, label in zip(given.content, labels, strict=True)))


def choose(arguments: argparse.Namespace, predictor: "Predictor", form: file_form.Form) -> Form:
    """The form that the options ask for. Raises UserError where the package, or another option, does not fit them."""
    task, top = predictor.task, arguments.top
    for wrong, option, why in (
        (top is not None and not task.ranks, "--top", "the package predicts numbers, and no labels"),
        (top is not None and top < 1, "--top", "must be 1 or more"),
        (arguments.spans and not task.marks_spans, "--spans", "the package's labels are no tags that mark spans"),
        (arguments.spans and top is not None, "--spans", "has no other labels to show: leave out --top"),
        (arguments.conll and not predictor.inputs.from_words, "--conll", "the package labels no words"),
        (arguments.conll and (arguments.spans or top is not None), "--conll", "leave out --top and --spans"),
        (arguments.keep_columns and not arguments.csv, "--keep-columns", "is a form of --csv: add it"),
        (
            arguments.keep_columns and (bool(arguments.inputs) or not arguments.file),
            "--keep-columns",
            "needs tables, named with --file, and no other inputs",
        ),
    ):
        if wrong:
            raise UserError(f"{option}: {why}")
    view = Likeliest(task, top) if top is not None else Spans(task) if arguments.spans else View(task)
    if arguments.keep_columns:
        from . import text_inputs

        return Csv(view, text_inputs.columns(arguments.file, form))
    return (Json if arguments.json else Csv if arguments.csv else Conll if arguments.conll else Table)(view)
