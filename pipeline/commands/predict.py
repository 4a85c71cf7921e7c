"""Answers new inputs with a packaged model.

python -m pipeline predict package shirt.png folder/ --json
python -m pipeline predict package "a text" --file mails.csv
python -m pipeline predict package "the words of a sentence"
python -m pipeline predict package --prompt "To be, or" --temperature 0.8 --seed 1
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.runtime.classifier import Arrays, Classifier

BLOCK = 1_024  # inputs held in memory before the model is asked
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


class Input(NamedTuple):
    """One thing to label. `content` is the error that kept it from being read, if there was one."""

    name: str
    content: "Arrays | UserError"
    words: list[str] | None = None  # of a sentence


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline predict",
        description="Answers new inputs with a packaged model: images, texts or sentences, as the model takes them.",
    )
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument(
        "inputs", nargs="*", metavar="input", help="image file, or folder of them; a text; a sentence, words apart"
    )
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        help="texts or sentences: a line each, or the column of a CSV, TSV, JSON Lines or Parquet table",
    )
    parser.add_argument("--column", default="text", help="the column of --file that holds the texts (default: text)")
    writing = parser.add_argument_group("writing on, by a language model")
    writing.add_argument("--prompt", help="a text to go on from")
    writing.add_argument("--tokens", type=int, default=200, help="write so many at most (default: 200)")
    writing.add_argument("--temperature", type=float, default=1.0, help="0: the likeliest token; above 1: wilder")
    writing.add_argument("--top-k", type=int, help="only from so many of the likeliest tokens")
    writing.add_argument("--top-p", type=float, help="only from the likeliest tokens that have this share together")
    writing.add_argument("--stop", help="write no further than up to this text")
    writing.add_argument("--seed", type=int, default=0, help="another one writes another text (default: 0)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line, with the probability of each label")
    form.add_argument("--csv", action="store_true", help="comma-separated: input, label, probability")
    arguments = parser.parse_args()
    if not arguments.inputs and not arguments.file and arguments.prompt is None:
        parser.error("nothing to answer: give an input, --file or, for a language model, --prompt")

    from tqdm import tqdm  # what follows is slow to load: --help and a slip of the pen should not wait for it

    from pipeline.runtime.classifier import Classifier, writes

    if writes(arguments.package):
        from pipeline.commands import generate

        return generate.answer(arguments, given(arguments.inputs, arguments.file, arguments.column))
    if arguments.prompt is not None:
        raise UserError(f"--prompt: {arguments.package} is of no language model: it labels what it is given")
    package = Classifier(arguments.package)
    if package.task == "image-classification":
        if arguments.file:
            raise UserError(f"--file: {arguments.package} labels images: name them, or their folder, one by one")
        found: Iterator[Input] = images(package, arguments.inputs)
    else:
        found = texts(package, arguments.inputs, arguments.file, arguments.column)
    write = writer("json" if arguments.json else "csv" if arguments.csv else "table", package)
    done = failed = 0
    with tqdm(desc="predict", unit=" inputs", disable=None, delay=2) as progress:
        while block := list(islice(found, BLOCK)):
            good = [item.content for item in block if not isinstance(item.content, UserError)]
            answers = iter(package.probabilities(good))
            for item in block:
                if isinstance(item.content, UserError):
                    tqdm.write(f"error: {item.content}", file=sys.stderr)
                    failed += 1
                else:
                    write(item, next(answers))
            done += len(block)
            progress.update(len(block))
    if failed:
        print(f"error: {failed} of {done} inputs could not be read, as said above", file=sys.stderr)
    return 1 if failed else 0


def images(package: "Classifier", inputs: list[str]) -> Iterator[Input]:
    """The files that are named, and those in the folders that are named, hidden ones left out."""
    for given in map(Path, inputs):
        files = [given]
        if given.is_dir():
            files = sorted(p for p in given.rglob("*") if p.is_file() and not p.name.startswith("."))
            if not files:
                raise UserError(f"{given}: the folder is empty")
        for path in files:
            yield attempt(str(path), lambda path=path: package.image(_read(path), str(path)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def texts(package: "Classifier", inputs: list[str], files: list[Path], column: str) -> Iterator[Input]:
    """The texts that are given, then those in files."""
    for name, text in given(inputs, files, column):
        yield Input(name, text) if isinstance(text, UserError) else one(package, name, text)


def given(inputs: list[str], files: list[Path], column: str) -> Iterator[tuple[str, str | UserError]]:
    """The texts that are given, then those in files, each with its name; or the error that kept it from being read."""
    yield from ((f"input {i}", text) for i, text in enumerate(inputs, start=1))
    for path in files:
        yield from lines(path, column)


def one(package: "Classifier", name: str, text: str) -> Input:
    if package.task == "text-classification":
        return attempt(name, lambda: package.text(text, name))
    words = text.split()
    return attempt(name, lambda: package.sentence(words, name))._replace(words=words)


def lines(path: Path, column: str) -> Iterator[tuple[str, str | UserError]]:
    """The texts in a file, each with its place: of a table, one column; of any other file, its lines."""
    from pipeline.readers import Refused
    from pipeline.readers.files import entries
    from pipeline.readers.formats import table
    from pipeline.readers.lines import lines as lines_of

    if path.name.removesuffix(".gz").lower().endswith(TABLES):
        # What is read for training has a label; here the text stands in for it.
        for item in table.Reader(name="table", text=column, label=column).read(path):
            if isinstance(item, Refused):
                yield item.where, UserError(f"{item.where}: {item.reason}")
            else:
                yield item.where, str(item.content)
        return
    for entry in entries(path):
        for number, line in enumerate(lines_of(entry), start=1):
            if line.strip():
                yield f"{entry.where} line {number}", line


def attempt(name: str, read: "Callable[[], Arrays]") -> Input:
    try:
        return Input(name, read())
    except UserError as error:
        return Input(name, error)


def writer(form: str, package: "Classifier") -> Callable[[Input, Any], None]:
    """A function that prints one answer; for a sentence the table is word/tag, as it may be read again."""
    labels, tagging = package.labels, package.task == "sequence-tagging"
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(("input", "word", "label", "probability") if tagging else ("input", "label", "probability"))
    width = max(len(label) for label in [*labels, "label"])
    titled = form != "table" or tagging

    def write(item: Input, found: Any) -> None:
        nonlocal titled
        if not titled:  # not before there is an answer: a mistake should stand alone
            print(f"probability  {'label':{width}}  input")
            titled = True
        likely, best = found.max(-1), found.argmax(-1)
        if tagging:
            tags = [labels[i] for i in best]
            if form == "json":
                sure = [round(float(p), 6) for p in likely]
                print(json.dumps({"input": item.name, "words": item.words, "labels": tags, "probabilities": sure}))
            elif form == "csv":
                table.writerows((item.name, *row, f"{p:.6f}") for *row, p in zip(item.words or [], tags, likely))
            else:
                print(" ".join(f"{word}/{tag}" for word, tag in zip(item.words or [], tags)))
        elif form == "json":
            each = {label: float(p) for label, p in zip(labels, found)}
            answer = {"input": item.name, "label": labels[best], "probability": float(likely), "probabilities": each}
            print(json.dumps(answer))
        elif form == "csv":
            table.writerow((item.name, labels[best], f"{likely:.6f}"))
        else:
            print(f"{likely:11.4f}  {labels[best]:{width}}  {item.name}")

    return write
