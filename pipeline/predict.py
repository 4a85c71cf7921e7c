"""Labels images with a packaged model.

python -m pipeline.predict package shirt.png folder/ --json
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.packaged import Package

BLOCK = 256  # images decoded before the model is asked


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict", description="Labels images with a packaged model."
    )
    parser.add_argument("package", type=Path, help="folder that the package stage wrote")
    parser.add_argument(
        "inputs", type=Path, nargs="+", metavar="image", help="PNG, JPEG or WebP file, or a folder of them"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a line, with the probability of each label")
    form.add_argument("--csv", action="store_true", help="comma-separated: file, label, probability")
    arguments = parser.parse_args()

    from tqdm import tqdm  # what follows is slow to load: --help and a slip of the pen should not wait for it

    from pipeline.packaged import Package

    package = Package(arguments.package)
    files, failed = find(arguments.inputs), 0
    write = writer("json" if arguments.json else "csv" if arguments.csv else "table", files)
    with tqdm(
        total=len(files), desc="predict", unit=" images", disable=None if len(files) > BLOCK else True
    ) as progress:
        for start in range(0, len(files), BLOCK):
            block = files[start : start + BLOCK]
            for path, probabilities in answers(package, block):
                if isinstance(probabilities, UserError):
                    tqdm.write(f"error: {probabilities}", file=sys.stderr)
                    failed += 1
                else:
                    write(path, dict(zip(package.labels, map(float, probabilities))))
            progress.update(len(block))
    if failed:
        print(f"error: {failed} of {len(files)} inputs could not be read, as said above", file=sys.stderr)
    return 1 if failed else 0


def find(inputs: list[Path]) -> list[Path]:
    """The files that are named, and those in the folders that are named, hidden ones left out."""
    files = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            if not inside:
                raise UserError(f"{path}: the folder is empty")
            files += inside
        else:
            files.append(path)
    return files


def answers(package: "Package", files: list[Path]) -> Iterator[tuple[Path, Any]]:
    """Each file with its probabilities, or with the error that kept it from being read."""
    import numpy as np

    decoded: list[Any] = []
    for path in files:
        try:
            decoded.append(package.pixels(path.read_bytes(), str(path)))
        except OSError as error:
            decoded.append(UserError(f"{path}: {error.strerror}"))
        except UserError as error:
            decoded.append(error)
    good = [pixels for pixels in decoded if not isinstance(pixels, UserError)]
    probabilities = iter(package.probabilities(np.stack(good))) if good else iter(())
    for path, pixels in zip(files, decoded):
        yield path, pixels if isinstance(pixels, UserError) else next(probabilities)


def writer(form: str, files: list[Path]) -> Any:
    """A function that prints one answer."""
    width = max([len(str(path)) for path in files] + [4])
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(("file", "label", "probability"))
    elif form == "table":
        print(f"{'file':{width}}  probability  label")

    def write(path: Path, probabilities: dict[str, float]) -> None:
        label, likely = max(probabilities.items(), key=lambda pair: pair[1])
        if form == "json":
            print(
                json.dumps({"file": str(path), "label": label, "probability": likely, "probabilities": probabilities})
            )
        elif form == "csv":
            table.writerow((path, label, f"{likely:.6f}"))
        else:
            print(f"{path!s:{width}}  {likely:11.4f}  {label}")

    return write


if __name__ == "__main__":
    errors.run(main)
