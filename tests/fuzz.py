"""Damages everything that people hand to the project, at random: only clear errors may come of it.

make fuzz, or: PYTHONPATH=. python tests/fuzz.py --seed 0 --cases 5000

Parameter files, the sources of each reader, packages and what is asked of them, checkpoints. Each case is answered, or
refused in one line; anything else (another exception, a hang, a write outside the outputs) is printed with its number,
by which `--only` repeats it.
"""

import argparse
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from damage import changed, damaged
from imports import TOP
from ruamel.yaml import YAML
from sources import pack, picture, write
from tasks import images
from tqdm import tqdm

from pipeline import check, errors, evaluate, learner, optim, package, packaged, predict, prepare, preprocess, train
from pipeline.checkpoint import ARRAYS, FACTS, SEAL, Checkpoints
from pipeline.errors import UserError
from pipeline.inputs import Inputs, sha256
from pipeline.models import CONFIGS
from pipeline.packaged import Package
from pipeline.run import Run, packed, unpacked

LIMIT = 60  # seconds for a case: a compilation may be among it
LONGEST = 2_000  # characters of a message

MAIL = (
    b"From: a@example.org\nSubject: =?utf-8?b?w6Q=?= offer\nContent-Type: text/plain; charset=utf-8\n\nBuy this now.\n"
)
PARTS = (
    b"Subject: parts\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n--x\n"
    b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--x\n"
    b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+aGk8L2I+\n--x--\n"
)
WORDS = [a + b for a in "abcdefgh" for b in "vwxyz"]
CONLL = [f"{word} B-X\nv{i % 7} I-X\nu O\n\n" for i, word in enumerate(WORDS)]
TAGGED = "\n\n".join(f"The/at {word}/nn ran/vbd ./." for word in WORDS)
TABLE = "text,label,split\n" + "".join(
    f'"a text, {WORDS[i]}",{"ab"[i % 2]},{"train" if i < 28 else "test"}\n' for i in range(40)
)


def _parquet() -> bytes:
    out = io.BytesIO()
    rows = {"text": [f"a text {word}" for word in WORDS], "label": ["a", "b"] * 20}
    pq.write_table(pa.table(rows), out)
    return out.getvalue()


def _idx(dimensions: tuple[int, ...]) -> bytes:
    size = int(np.prod(dimensions))
    header = bytes([0, 0, 8, len(dimensions)]) + b"".join(d.to_bytes(4, "big") for d in dimensions)
    return header + bytes(np.random.default_rng(0).integers(0, 2, size, np.uint8))


SOURCES: tuple[tuple[dict[str, Any], dict[str, bytes | str]], ...] = (  # a reader, and files that it can read
    ({"name": "table", "text": "text", "label": "label"}, {"all.csv": TABLE}),
    ({"name": "table", "text": "text", "label": "label", "split": "split"}, {"all.tsv": TABLE.replace(",", "\t")}),
    (
        {"name": "table", "text": "text", "label": "label"},
        {"all.jsonl": "".join(json.dumps({"text": f"text {WORDS[i]}", "label": i % 2}) + "\n" for i in range(40))},
    ),
    ({"name": "table", "text": "text", "label": "label"}, {"all.parquet": _parquet()}),
    ({"name": "conll"}, {"train.conll": "".join(CONLL[:30]), "test.conll": "".join(CONLL[30:])}),
    ({"name": "slash-tagged"}, {"ca01": TAGGED, "ca02": TAGGED}),
    (
        {"name": "mail"},
        {
            f"{('spam', 'ham')[i % 2]}/{i}": (MAIL, PARTS)[i % 2].replace(b"Subject: ", f"Subject: {word} ".encode())
            for i, word in enumerate(WORDS)
        },
    ),
    ({"name": "text"}, {f"{'ab'[i % 2]}/{i}.txt": f"the text {word}" for i, word in enumerate(WORDS)}),
    (
        {"name": "image-folder"},
        {f"{'ab'[i % 2]}/{i}.{form}": picture(form, i) for i, form in enumerate(("PNG", "JPEG", "WEBP", "PNG") * 5)},
    ),
    (
        {"name": "idx"},
        {
            "train-images-idx3-ubyte.gz": gzip.compress(_idx((60, 4, 4)), mtime=0),
            "train-labels-idx1-ubyte.gz": gzip.compress(_idx((60,)), mtime=0),
            "t10k-images-idx3-ubyte.gz": gzip.compress(_idx((30, 4, 4)), mtime=0),
            "t10k-labels-idx1-ubyte.gz": gzip.compress(_idx((30,)), mtime=0),
        },
    ),
)


class Hang(BaseException):
    """No `except Exception` may hide it."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def dump(tree: Any, path: Path) -> None:
    """As YAML, or where YAML has no word for it, as JSON, which is YAML too."""
    try:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(tree, file)
    except Exception:
        path.write_text(json.dumps(tree, default=str, skipkeys=True), encoding="utf-8")


def a_params_file(folder: Path, random: Random) -> None:
    """All of params.yaml, as `check` and each stage read it."""
    path = folder / "params.yaml"
    content = (TOP / "params.yaml").read_bytes()
    if random.random() < 0.3:
        path.write_bytes(damaged(content, random))
    else:
        dump(changed(YAML(typ="safe").load(content), random), path)
    failed = None
    for read in (check.params, *(stage.Params.load for stage in (prepare, preprocess, train, evaluate, package))):
        try:
            read(path)
        except UserError as error:
            _one_line(error)
            failed = error
    if failed:
        raise failed


TASK = {"idx": "fashion-mnist", "image-folder": "fashion-mnist", "conll": "brown", "slash-tagged": "brown"}


def a_source(folder: Path, random: Random) -> None:
    """Through prepare and preprocess: plain, gzip, archive; damaged inside or outside, or wrongly described."""
    options, texts = random.choice(SOURCES)
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
    if inside := random.random() < 0.7:
        name = random.choice(list(contents))
        contents[name] = damaged(contents[name], random)
    source = folder / "data/raw" / ("source" + random.choice(("", "", "", ".zip", ".tar", ".tgz")))
    if source.suffix:
        source.parent.mkdir(parents=True)
        pack(source, contents)
    else:
        zipped = random.random() < 0.2
        write(source, {f"{n}.gz": gzip.compress(c, mtime=0) for n, c in contents.items()} if zipped else contents)
    if not inside:
        hit = random.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        hit.write_bytes(damaged(hit.read_bytes(), random))
    everything = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    section = everything["datasets"][TASK.get(options["name"], "spam")]
    section |= {
        "source": source.relative_to(folder).as_posix(),
        "reader": changed(options, random) if random.random() < 0.1 else options,
        "split": {"validation": 0.2, "test": 0.2},
        "max_bad_rows": random.choice((0, 1_000)),
    }
    dump({**everything, "dataset": "fuzz", "datasets": {"fuzz": section}}, folder / "params.yaml")
    with chdir(folder):
        for stage in (prepare, preprocess):
            stage.main(stage.Params.load(), Inputs(stage.__name__, {}, {}, (), {}))
    strangers = {path.name for path in folder.iterdir()} - {"data", "params.yaml"}
    assert not strangers | {path.name for path in (folder / "data").iterdir()} - {"raw", "prepared", "features"}


def a_package(folder: Path, random: Random) -> None:
    """Damaged as by a disk; or changed by hand and sealed again, all but the compiled model and the weights."""
    copy = Path(shutil.copytree(random.choice(PACKAGES), folder / "package"))
    names = sorted(path for path in copy.rglob("*") if path.is_file())
    by_hand = random.random() < 0.7
    if by_hand:
        names = [path for path in names if path.suffix == ".json" and path.name != packaged.MANIFEST]
    hit = random.choice(names)
    if hit.suffix == ".json" and random.random() < 0.6:
        hit.write_text(json.dumps(changed(json.loads(hit.read_text()), random), skipkeys=True))
    elif random.random() < 0.1:
        hit.unlink()
    else:
        hit.write_bytes(damaged(hit.read_bytes(), random))
    if by_hand:
        packaged.seal(copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    try:
        answer(Package(copy), copy / "sample", folder)
    finally:
        assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


@cache
def loaded(path: Path) -> Package:
    return Package(path)


def a_question(folder: Path, random: Random) -> None:
    """An image, a text, a file of texts, damaged."""
    path = random.choice(PACKAGES)
    asked = loaded(path)
    if asked.task == "image-classification":
        names = [f"x.{form}" for form in ("png", "jpeg", "webp", "gif", "tiff", "bmp")]
        name = random.choice(names)
        (folder / name).write_bytes(damaged(picture(name[2:].upper(), random.randrange(9)), random))
        found = predict.images(asked, [str(folder / name)])
    else:
        _, texts = random.choice([source for source in SOURCES if source[0]["name"] == "table"])
        [(name, content)] = texts.items()
        content = content.encode() if isinstance(content, str) else content
        name = random.choice((name, name, "lines.txt", name + ".gz"))
        (folder / name).write_bytes(
            damaged(gzip.compress(content, mtime=0) if name.endswith(".gz") else content, random)
        )
        text = damaged(content[:200], random).decode(errors="surrogateescape")
        found = predict.texts(asked, [text], [folder / name], random.choice(("text", "label")))
    say(asked, found)


def answer(asked: Package, sample: Path, folder: Path) -> None:
    if asked.task == "image-classification":
        picture_file = folder / "asked.png"
        picture_file.write_bytes(picture())
        say(asked, predict.images(asked, [str(picture_file)]))
    else:
        say(asked, predict.texts(asked, ["a text of some words"], [], "text"))


def say(asked: Package, found: Iterator[predict.Input]) -> None:
    """As predict does; raises the first mistake when all is answered."""
    given = list(found)
    good = [(item, item.content) for item in given if not isinstance(item.content, UserError)]
    bad = [item.content for item in given if isinstance(item.content, UserError)]
    write_answer = predict.writer("json", asked)
    for (item, _), row in zip(good, asked.probabilities([content for _, content in good]), strict=True):
        assert np.isfinite(row).all()
        write_answer(item, row)
    for error in bad:
        _one_line(error)
    if bad:
        raise bad[0]


@cache
def a_run() -> Run:
    network = YAML(typ="safe").load((TOP / "params.yaml").read_text())["models"]["cnn"]["network"]
    tx = optim.build(optim.Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    return Run(learner.start(CONFIGS["cnn"].model_validate(network), images(), tx, seed=0)[1])


def a_checkpoint(folder: Path, random: Random) -> None:
    """Damaged: the one before must be found. Or changed by hand and sealed again: it may be refused."""
    run = a_run()
    keeper = Checkpoints(folder / "run", every=0)
    whole = packed(run)
    with redirect_stderr(io.StringIO()) as said:
        for name in ("1", "2"):
            keeper.save(name, whole.arrays, whole.facts, wait=True)
        newest = folder / "run/2"
        by_hand = random.random() < 0.5
        hit = newest / (FACTS if by_hand else random.choice((ARRAYS, FACTS, SEAL)))
        if by_hand:
            hit.write_text(json.dumps(changed(json.loads(hit.read_text()), random), skipkeys=True))
            (newest / SEAL).write_text(json.dumps({name: sha256(newest / name) for name in (ARRAYS, FACTS)}))
        elif random.random() < 0.1:
            hit.unlink()
        else:
            content = hit.read_bytes()
            hit.write_bytes(damaged(content, random))
            by_hand = json.loads(content) == _json(hit) if hit.name == SEAL else content == hit.read_bytes()
        found = keeper.newest()
        assert found
        unpacked(found, run.state)
    if not by_hand:
        assert "a checkpoint is damaged" in said.getvalue()
        assert len(said.getvalue().splitlines()) == 1


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


KINDS: tuple[tuple[Callable[[Path, Random], None], int], ...] = (
    (a_source, 6),
    (a_params_file, 4),
    (a_question, 4),
    (a_package, 1),
    (a_checkpoint, 3),
)


def _one_line(error: UserError) -> None:
    text = str(error)
    assert text.isprintable(), f"a message with control characters: {text[:300]!r}"
    assert len(text) < LONGEST, f"a message of {len(text):,} characters: {text[:300]!r}"


def case(seed: int, number: int, folder: Path) -> tuple[str, str, str]:
    """Its kind, its outcome, and what was wrong, if anything was."""
    random = Random(f"{seed} {number}")
    kind = random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
    shutil.rmtree(folder, ignore_errors=True)
    inner = folder / "here"
    inner.mkdir(parents=True)
    signal.alarm(LIMIT)
    outcome, wrong = "answered", ""
    try:
        with redirect_stdout(io.StringIO()):
            kind(inner, random)
    except UserError as error:
        outcome = "refused"
        try:
            _one_line(error)
        except AssertionError as bad:
            wrong = str(bad)
    except (Exception, Hang) as error:
        if isinstance(error, OSError | MemoryError) and errors.refusal(error):
            outcome = "refused"
        else:
            outcome, wrong = "found", "".join(traceback.format_exception(error)[-4:])
    finally:
        signal.alarm(0)
    if [path.name for path in folder.iterdir()] != ["here"]:
        wrong = f"written outside: {list(folder.iterdir())}"
    return kind.__name__, outcome, wrong


def work(seed: int, numbers: range, folder: Path) -> None:
    """A line before each case, and one after it."""
    signal.signal(signal.SIGALRM, _hang)
    warnings.simplefilter("error")
    for number in numbers:
        print(json.dumps([number]), flush=True)
        print(json.dumps([number, *case(seed, number, folder)]), flush=True)


def packages(folder: Path) -> list[Path]:
    """A small package for each task, made by the stages."""
    found = []
    for name, dataset, model in (("images", "idx", "cnn"), ("texts", "table", "linear"), ("tags", "conll", "lstm")):
        options, contents = next(source for source in SOURCES if source[0]["name"] == dataset)
        here = folder / name
        for part in ("params.yaml", "dvc.yaml", "pipeline"):
            copy = shutil.copytree if (TOP / part).is_dir() else shutil.copy
            here.mkdir(parents=True, exist_ok=True)
            copy(TOP / part, here / part)
        write(here / "data/raw/source", contents)
        everything = YAML(typ="safe").load((TOP / "params.yaml").read_text())
        section = everything["datasets"][TASK.get(dataset, "spam")] | {
            "source": "data/raw/source",
            "reader": options,
            "split": {"validation": 0.3, "test": 0.3},
        }
        everything |= {"dataset": "own", "model": model, "datasets": {"own": section}}
        everything["models"][model]["training"] |= {"epochs": 1, "batch_size": 8}
        dump(everything, here / "params.yaml")
        for stage in ("prepare", "preprocess", "train", "evaluate", "package"):
            done = subprocess.run([sys.executable, "-m", f"pipeline.{stage}"], cwd=here, capture_output=True, text=True)
            assert done.returncode == 0, f"{name}: {stage}: {done.stdout}{done.stderr}"
        found.append(here / "package")
    return found


PACKAGES: list[Path] = []


def run(folder: Path, *, seed: int, cases: int, only: int | None = None) -> tuple[dict[str, Counter[str]], list[str]]:
    """All cases, in a process of their own, since one of them may bring it down; the outcomes, and what was wrong."""
    made = packages(folder)
    outcomes: dict[str, Counter[str]] = {}
    found: list[str] = []
    start, stop = (0, cases) if only is None else (only, only + 1)
    with tqdm(total=stop - start, desc="fuzz", unit=" cases", disable=None) as bar:
        while start < stop:
            command = [sys.executable, __file__, "--work", str(start), str(stop), "--seed", str(seed), "--at", folder]
            environment = {**os.environ, "PYTHONPATH": str(TOP)}
            with subprocess.Popen(
                [*map(str, command), *map(str, made)], stdout=subprocess.PIPE, text=True, env=environment
            ) as worker:
                assert worker.stdout
                number = start
                for line in worker.stdout:
                    number, *result = json.loads(line)
                    if not result:
                        continue
                    kind, outcome, wrong = result
                    outcomes.setdefault(kind, Counter())[outcome] += 1
                    if wrong:
                        found.append(f"case {number}: {kind}: {wrong}")
                    bar.update()
            if worker.returncode:
                found.append(f"case {number}: the process ended with {worker.returncode}")
            start = number + 1
    return outcomes, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--only", type=int, help="the number of the one case to try")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("packages", type=Path, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        PACKAGES.extend(arguments.packages)
        work(arguments.seed, range(*arguments.work), arguments.at / "case")
        return 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        outcomes, found = run(Path(folder), seed=arguments.seed, cases=arguments.cases, only=arguments.only)
    for kind, counts in sorted(outcomes.items()):
        print(f"{kind}: {', '.join(f'{count:,} {outcome}' for outcome, count in sorted(counts.items()))}")
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
