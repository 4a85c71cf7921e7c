"""Answers new inputs with a package.

python -m pipeline predict package shirt.png folder/ --json
python -m pipeline predict package "a text" --file mails.csv
echo "a text" | python -m pipeline predict package -
python -m pipeline predict package "the words of a sentence"
python -m pipeline predict package --prompt "To be, or" --temperature 0.8 --seed 1
"""

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pipeline.runtime import printing
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.commands.answers import predictions
    from pipeline.readers.files import Entry
    from pipeline.runtime.inputs import Arrays, Raw
    from pipeline.runtime.predictor import Predictor

T = TypeVar("T")
BLOCK = 1_024  # inputs held in memory together
STDIN, STDIN_PATH, STDIN_NAME = "-", "/dev/stdin", "standard input"
FILE = re.compile(
    r"(?i)\S+\.(txt|csv|tsv|jsonl?|ndjson|parquet|eml|mbox|html?|md|xlsx?|pdf|docx?|gz|zip|png|jpe?g|webp)"
)


class Input(NamedTuple):
    """One input: encoded, or the error that says why it cannot be."""

    name: str
    encoded: "Arrays | UserError"
    content: "Raw | None" = None


class Form(NamedTuple):
    """How the files of --file are read."""

    column: str = "text"
    encoding: str | None = None
    quoting: str | None = None


DEFAULT = Form()


def main() -> int:
    arguments = parse()
    if arguments.json or arguments.csv:
        printing.content()

    # What follows loads slowly: --help and a mistake on the command line should not wait for it.
    from pipeline.runtime import package, tasks
    from pipeline.runtime.trust import signatures

    signatures.require(arguments.package, arguments.require_key)
    given = (arguments.inputs, arguments.file, Form(arguments.column, arguments.encoding, arguments.quoting))
    if tasks.generates(package.task_of(arguments.package)):
        from pipeline.commands.answers import generate

        return generate.main(arguments, read_texts(*given))
    if arguments.prompt is not None:
        raise UserError(f"--prompt: {arguments.package} contains a model that cannot generate text")

    from pipeline.commands.answers import predictions
    from pipeline.runtime.predictor import Predictor

    predictor = Predictor(arguments.package)
    form = predictions.Json if arguments.json else predictions.Csv if arguments.csv else predictions.Table
    return answer(predictor, read_inputs(predictor, *given), form(predictor.task))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline predict",
        description="Answers new inputs with a package: labels images, texts or words, or generates text.",
    )
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="input",
        help="image file or folder of images; text; sentence with spaces between words; - for standard input",
    )
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        help="file with texts or sentences: one per line, or a column of a CSV, TSV, JSON Lines or Parquet table",
    )
    parser.add_argument("--column", default="text", help="column of --file with the texts (default: text)")
    parser.add_argument("--encoding", help="encoding of --file where it is not Unicode, such as cp1252")
    parser.add_argument(
        "--require-key", type=Path, metavar="PUB.PEM", help="the package must be signed by the owner of this public key"
    )
    parser.add_argument("--quoting", choices=("minimal", "none"), help="whether cells of a CSV or TSV are quoted")
    generation = parser.add_argument_group("text generation by a language model")
    generation.add_argument("--prompt", help="text to continue")
    generation.add_argument("--tokens", type=int, default=200, help="largest number of new tokens (default: 200)")
    generation.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="0: the likeliest token; above 1: more random (default: 1)",
    )
    generation.add_argument("--top-k", type=int, help="choose among this many of the likeliest tokens")
    generation.add_argument("--top-p", type=float, help="choose among the likeliest tokens with this total probability")
    generation.add_argument("--stop", help="end before this text")
    generation.add_argument("--seed", type=int, default=0, help="equal seeds give equal texts (default: 0)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object per line, with all probabilities")
    form.add_argument("--csv", action="store_true", help="comma-separated values")
    arguments = parser.parse_args()
    if not arguments.inputs and not arguments.file and arguments.prompt is None:
        parser.error("nothing to answer: give an input, --file or, for a language model, --prompt")
    return arguments


def answer(predictor: "Predictor", inputs: Iterator[Input], form: "predictions.Form") -> int:
    """Prints the answer to each input; returns 1 if any input cannot be read, else 0."""
    from tqdm import tqdm

    done = failed = 0
    with tqdm(desc="predict", unit=" inputs", disable=None, delay=2) as progress:
        while block := list(islice(inputs, BLOCK)):
            good = [item.encoded for item in block if not isinstance(item.encoded, UserError)]
            answers = iter(predictor.answers(good))
            for item in block:
                if isinstance(item.encoded, UserError):
                    tqdm.write(f"error: {item.encoded}", file=sys.stderr)
                    failed += 1
                else:
                    form.write(item.name, item.content, next(answers))
            done += len(block)
            progress.update(len(block))
    if failed:
        print(f"error: {failed} of {done} inputs could not be read: see above", file=sys.stderr)
    return 1 if failed else 0


def read_inputs(predictor: "Predictor", inputs: list[str], files: list[Path], form: Form = DEFAULT) -> Iterator[Input]:
    """The inputs on the command line, then those in files, each encoded."""
    if predictor.inputs.from_files:
        if files:
            raise UserError("--file: the package reads images: name each image, or a folder of images")
        for path in image_files(inputs):
            if path.is_dir():
                yield Input(str(path), UserError(f"{path}: is a link to a folder: name that folder itself"))
            elif str(path) == STDIN:
                yield encode(predictor, STDIN_NAME, STDIN_PATH)
            else:
                yield encode(predictor, str(path), str(path))
        return
    for name, text in read_texts(inputs, files, form):
        yield encode(predictor, name, text)


def encode(predictor: "Predictor", name: str, text: str | UserError) -> Input:
    """The input that `text` is, or the file that it names."""
    if isinstance(text, UserError):
        return Input(name, text)
    try:
        content = predictor.inputs.parse(text)
        return Input(name, predictor.encode(content, name), content)
    except OSError as error:
        return Input(name, UserError(f"{name}: {error.strerror}"))
    except UserError as error:
        return Input(name, error)


def image_files(inputs: list[str]) -> Iterator[Path]:
    """The named files, and those in the named folders that a reader would read; also links to folders or to nothing."""
    from pipeline.readers.files import is_left_out_path

    if "" in inputs:  # to pathlib, the folder that this was started in
        raise UserError(f"input {inputs.index('') + 1}: is empty: name an image, or a folder of images")
    for path in map(Path, inputs):
        if not path.is_dir():
            yield path
            continue
        empty = True
        for file in sorted(path.rglob("*")):
            if not is_left_out_path(file.relative_to(path).as_posix()) and (file.is_file() or file.is_symlink()):
                empty = False
                yield file
        if empty:
            raise UserError(f"{path}: holds no image")


def read_texts(inputs: list[str], files: list[Path], form: Form = DEFAULT) -> Iterator[tuple[str, str | UserError]]:
    """The texts on the command line, then those in files, each with its name; an error in place of a text that cannot
    be read.
    """
    for i, text in enumerate(inputs, start=1):
        if text == STDIN:
            yield from read_file(Path(STDIN), form)
        elif exists(text) and ("/" in text or Path(text).suffix):
            why = f"is the name of a file or folder, not a text: --file '{text}' reads the texts in it"
            yield f"input {i}", UserError(f"input {i}: {text!r} {why}")
        else:
            if text and exists(text):  # a word, and a file or folder
                print(f"note: input {i}: {text!r} is taken for a text: --file reads a file", file=sys.stderr)
            elif FILE.fullmatch(text):
                print(f"note: input {i}: {text!r} is taken for a text: there is no such file", file=sys.stderr)
            yield f"input {i}", text
    for path in files:
        yield from read_file(path, form)


def exists(text: str) -> bool:
    """Whether a text is also the path of something."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # longer than any path, or with a NUL
        return False


def read_file(path: Path, form: Form) -> Iterator[tuple[str, str | UserError]]:
    """The texts in a file, each with its place: a column of a table, or the lines of any other file."""
    from pipeline.inspection.formats import CURES
    from pipeline.readers import Refused, encodings
    from pipeline.readers.files import Entry, entries
    from pipeline.readers.formats import table

    if form.encoding is not None and encodings.known(form.encoding) is None:
        raise UserError("--encoding: must be an encoding, such as utf-8, cp1252 or gb18030")
    if path.name.lower().removesuffix(".gz").endswith(table.SUFFIXES):
        # The reader needs a column of labels, which new texts lack: the column of texts stands in for it.
        options: Any = {"text": form.column, "label": form.column, "encoding": form.encoding, "quoting": form.quoting}
        rows = table.Reader(format="table", source=str(path), **options).read()
        empty = True
        for item in with_cure(rows, "no column", "--column names the one with the texts"):
            empty = False
            if isinstance(item, Refused):
                yield item.where, UserError(f"{item.where}: {item.reason.replace('its label', 'its text')}")
            else:
                yield item.where, str(item.content)
        if empty:
            yield str(path), UserError(f"{path}: has no rows")
        return
    if (suffix := path.suffix.lower()) in CURES:
        raise UserError(f"{path}: is no text: {CURES[suffix]}")
    if str(path) == STDIN:
        entry = Entry(STDIN_NAME, STDIN_NAME, lambda: Path(STDIN_PATH).open("rb"))  # noqa: SIM115
        yield from read_lines(entry, form.encoding)
        return
    for entry in entries(path, encoding=form.encoding):
        yield from read_lines(entry, form.encoding)


def with_cure(items: Iterator[T], mistake: str, cure: str) -> Iterator[T]:
    """The items. A UserError whose message contains `mistake` is raised with `cure` at its end."""
    try:
        yield from items
    except UserError as error:
        raise UserError(f"{error}: {cure}" if mistake in str(error) else str(error)) from error


def read_lines(entry: "Entry", encoding: str | None) -> Iterator[tuple[str, str | UserError]]:
    """The lines of a file that have text, each with its place; an error where none has."""
    from pipeline.readers.lines import lines

    empty = True
    for number, line in enumerate(lines(entry, encoding), start=1):
        if line.strip():
            empty = False
            yield f"{entry.where} line {number}", line
    if empty:
        yield entry.where, UserError(f"{entry.where}: has no text")
