"""Answers new inputs with a package.

python -m runtime predict . shirt.png folder/ --json
python -m runtime predict . "a text" --file mails.csv --csv --keep-columns
echo "a text" | python -m runtime predict . -
python -m runtime predict . --file sentences.conll --conll
python -m runtime predict . --prompt "To be, or" --temperature 0.8 --seed 1
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import printing
from ..errors import UserError
from ..explanations import METHODS
from .file_form import DEFAULT, STDIN, STDIN_NAME, STDIN_PATH, Form

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..explanations.explainer import Explainer
    from ..inputs import Arrays, Raw
    from ..predictor import Predictor
    from . import forms

BLOCK = 1_024  # inputs held in memory together


class Input(NamedTuple):
    """One input: encoded, or the error that says why it cannot be."""

    name: str
    encoded: "Arrays | UserError"
    content: "Raw | None" = None
    text: str = ""  # as it was typed, or read from a file
    row: "Mapping[str, Any] | None" = None  # of the table that it was read from


def main() -> int:
    arguments = parse()
    if arguments.json or arguments.csv or arguments.conll:
        printing.content()

    # What follows loads slowly: --help and a mistake on the command line should not wait for it.
    from .. import package, tasks
    from ..trust import signatures

    signatures.require(arguments.package, arguments.require_key)
    if tasks.generates(package.task_of(arguments.package)):
        from . import generate, text_inputs

        form = Form(arguments.column, arguments.encoding, arguments.quoting)
        return generate.main(arguments, text_inputs.read(arguments.inputs, arguments.file, form))
    if arguments.prompt is not None:
        raise UserError(f"--prompt: {arguments.package} contains a model that cannot generate text")
    if arguments.of is not None and arguments.explain is None:
        raise UserError("--of: says which answer --explain explains: add --explain FOLDER")
    if arguments.method is not None and arguments.explain is None:
        raise UserError("--method: says how --explain explains: add --explain FOLDER")

    from ..predictor import Predictor
    from . import forms

    predictor = Predictor(arguments.package)
    form = Form(
        arguments.column,
        arguments.encoding,
        arguments.quoting,
        words=predictor.inputs.from_words,
        keep=arguments.keep_columns,
    )
    output = forms.choose(arguments, predictor, form)
    explainer = None
    if arguments.explain is not None:
        from ..explanations import explainer as explainers

        explainer = explainers.load(predictor, arguments)
    return answer(predictor, read_inputs(predictor, arguments.inputs, arguments.file, form), output, explainer)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=sys.argv[0],
        description="Answers new inputs with a package: labels images, texts or words, or generates text.",
    )
    parser.add_argument("package", type=Path, help="folder of the package")
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
        help="file with texts or sentences: one per line, a column of a CSV, TSV, JSON Lines or Parquet table, or the "
        "words of a CoNLL file",
    )
    parser.add_argument(
        "--column",
        help="column of --file with the texts (default: text), or its number in a CoNLL file, from 0 (default: 0; 1 in "
        "CoNLL-U)",
    )
    parser.add_argument("--encoding", help="encoding of --file where it is not Unicode, such as cp1252")
    parser.add_argument("--quoting", choices=("minimal", "none"), help="whether cells of a CSV or TSV are quoted")
    parser.add_argument(
        "--require-key", type=Path, metavar="PUB.PEM", help="the package must be signed by the owner of this public key"
    )
    answers = parser.add_argument_group("answers")
    form = answers.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object per line, with all probabilities")
    form.add_argument("--csv", action="store_true", help="comma-separated values")
    form.add_argument("--conll", action="store_true", help="a word, a tab and its tag on each line")
    answers.add_argument("--keep-columns", action="store_true", help="in --csv, the columns of --file come first")
    answers.add_argument("--top", type=int, metavar="N", help="the N likeliest labels, with their probabilities")
    answers.add_argument(
        "--spans", action="store_true", help="the spans that the tags of words mark, with their places"
    )
    answers.add_argument(
        "--explain", type=Path, metavar="FOLDER", help="write there what in each input spoke for its answer"
    )
    answers.add_argument("--of", metavar="LABEL", help="explain this label in place of the predicted one")
    answers.add_argument("--method", choices=METHODS, help=f"how an image is explained (default: {METHODS[0]})")
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
    arguments = parser.parse_intermixed_args()
    if not arguments.inputs and not arguments.file and arguments.prompt is None:
        parser.error("nothing to answer: give an input, --file or, for a language model, --prompt")
    return arguments


def answer(
    predictor: "Predictor", inputs: Iterator[Input], form: "forms.Form", explainer: "Explainer | None" = None
) -> int:
    """Prints the answer to each input; returns 1 if any input cannot be read, else 0."""
    from .progress import Progress

    done = failed = 0
    progress = Progress()
    while block := list(islice(inputs, BLOCK)):
        good = [item.encoded for item in block if not isinstance(item.encoded, UserError)]
        outputs = iter(predictor.outputs(good))
        for item in block:
            if isinstance(item.encoded, UserError):
                form.skip(item)
                progress.clear()
                print(f"error: {item.encoded}", file=sys.stderr)
                failed += 1
                continue
            row = next(outputs)
            form.write(item, row, explainer.explain(item, item.encoded, row) if explainer else None)
        done += len(block)
        progress.update(done)
    progress.clear()
    if failed:
        print(f"error: {failed} of {done} inputs could not be read: see above", file=sys.stderr)
    return 1 if failed else 0


def read_inputs(predictor: "Predictor", inputs: list[str], files: list[Path], form: Form = DEFAULT) -> Iterator[Input]:
    """The inputs on the command line, then those in files, each encoded."""
    if predictor.inputs.from_files:
        if files:
            raise UserError("--file: the package reads images: name each image, or a folder of images")
        for path in image_files(inputs):
            if isinstance(path, UserError):
                yield Input("", path)
            elif path.is_dir():
                yield Input(str(path), UserError(f"{path}: is a link to a folder: name that folder itself"))
            elif str(path) == STDIN:
                yield encode(predictor, STDIN_NAME, STDIN_PATH)
            else:
                yield encode(predictor, str(path), str(path))
        return
    from . import text_inputs  # no package of images needs it

    for item in text_inputs.read(inputs, files, form):
        yield encode(predictor, *item)


def encode(
    predictor: "Predictor", name: str, given: str | list[str] | UserError, row: "Mapping[str, Any] | None" = None
) -> Input:
    """The input that is given: a text, the file that it names, or the words of a sentence."""
    if isinstance(given, UserError):
        return Input(name, given, row=row)
    text = given if isinstance(given, str) else " ".join(given)
    try:
        content = predictor.inputs.parse(given) if isinstance(given, str) else given
        return Input(name, predictor.encode(content, name), content, text, row)
    except OSError as error:
        return Input(name, UserError(f"{name}: {error.strerror}"), row=row)
    except UserError as error:
        return Input(name, error, row=row)


def image_files(inputs: list[str]) -> Iterator[Path | UserError]:
    """The named files, and those in the named folders that a reader would read; also links to folders or to nothing. An
    error in place of a folder without files.
    """
    if "" in inputs:  # to pathlib, the folder that this was started in
        raise UserError(f"input {inputs.index('') + 1}: is empty: name an image, or a folder of images")
    for path in map(Path, inputs):
        if not path.is_dir():
            yield path
            continue
        from ..reading.files import is_left_out_path  # only folders need it

        empty = True
        for file in sorted(path.rglob("*")):
            if not is_left_out_path(file.relative_to(path).as_posix()) and (file.is_file() or file.is_symlink()):
                empty = False
                yield file
        if empty:
            yield UserError(f"{path}: holds no image")
