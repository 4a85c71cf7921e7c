"""What is fuzzed, a function for each: it damages, and tries; what it raises is judged by who calls it."""

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from damage import changed, damaged
from fuzz_packages import a_strange_package, an_input, one_line
from good_sources import SECTION, SOURCES
from imports import TOP
from ruamel.yaml import YAML
from small_packages import dump
from small_tasks import images
from sources import pack, picture, write

from pipeline.config.networks import NETWORKS
from pipeline.config.optimizers import Adam
from pipeline.runtime import package as package_folder
from pipeline.runtime import tasks
from pipeline.runtime.commands import forms, predict
from pipeline.runtime.commands.views import View
from pipeline.runtime.encoders.valid_text import valid_text
from pipeline.runtime.errors import UserError
from pipeline.runtime.generator import Generator, Sampling
from pipeline.runtime.hashes import sha256
from pipeline.runtime.predictor import Predictor
from pipeline.runtime.trust import manifest
from pipeline.stages import check, evaluate, package, prepare, preprocess, train
from pipeline.stages.stage_files import Inputs
from pipeline.training import optimizers, trainer
from pipeline.training.checkpoints import files
from pipeline.training.checkpoints.checkpointer import Checkpointer
from pipeline.training.checkpoints.naming import ARRAYS, FACTS, SEAL
from pipeline.training.run import TrainingRun, from_checkpoint, to_checkpoint

PACKAGES: list[Path] = []  # to be asked and damaged: whoever runs the cases puts them here


def a_params_file(folder: Path, random: Random) -> None:
    """All of params.yaml, as `check` and each stage read it; some as they are, for nearly every change is a mistake."""
    path = folder / "params.yaml"
    content = (TOP / "params.yaml").read_bytes()
    if random.random() < 0.2:
        path.write_bytes(content)
    elif random.random() < 0.3:
        path.write_bytes(damaged(content, random))
    else:
        dump(changed(YAML(typ="safe").load(content), random), path)
    failed = None
    for read in (check.params, *(stage.Params.load for stage in (prepare, preprocess, train, evaluate, package))):
        try:
            read(path)
        except UserError as error:
            one_line(error)
            failed = error
    if failed:
        raise failed


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
    usual = SECTION.get(options["format"], "spam")
    usual = "shakespeare" if options["format"] == "text" and random.random() < 0.7 else usual
    section = everything["datasets"][usual]
    data = {
        "source": source.relative_to(folder).as_posix(),
        "validation": 0.2,
        "max_bad_rows": random.choice((0, 1_000)),
        **options,
    }
    section["data"] = changed(data, random) if random.random() < 0.1 else data
    dump({**everything, "dataset": "fuzz", "datasets": {"fuzz": section}}, folder / "params.yaml")
    try:
        with chdir(folder):
            for stage in (prepare, preprocess):
                stage.main(stage.Params.load(), Inputs(stage.__name__, "fuzz", {}, {}, (), {}))
    finally:
        strangers = {path.name for path in folder.iterdir()} - {"data", "params.yaml"}
        strangers |= {path.name for path in (folder / "data").iterdir()} - {"raw", "prepared", "features"}
        assert not strangers, f"written outside the outputs: {strangers}"


def a_package(folder: Path, random: Random) -> None:
    """Damaged as by a disk; or changed by hand and sealed again, all but the compiled model and the weights."""
    copy = Path(shutil.copytree(random.choice(PACKAGES), folder / "package"))
    names = sorted(path for path in copy.rglob("*") if path.is_file())
    by_hand = random.random() < 0.7
    if by_hand:
        names = [path for path in names if path.suffix == ".json" and path.name != manifest.MANIFEST]
    hit = random.choice(names)
    if hit.suffix == ".json" and random.random() < 0.6:
        hit.write_text(json.dumps(changed(json.loads(hit.read_text()), random), skipkeys=True))
    elif random.random() < 0.1:
        hit.unlink()
    else:
        hit.write_bytes(damaged(hit.read_bytes(), random))
    if by_hand:
        manifest.seal(copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    try:
        answer(asked_of(copy), folder)
    finally:
        assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def asked_of(path: Path) -> Predictor | Generator:
    return Generator(path) if tasks.generates(package_folder.task_of(path)) else Predictor(path)


loaded = cache(asked_of)


def a_question(folder: Path, random: Random) -> None:
    """An image, a text, a file of texts, damaged."""
    path = random.choice(PACKAGES)
    asked = loaded(path)
    if isinstance(asked, Generator):
        ask(asked, damaged(b"the text of some words", random).decode(errors="surrogateescape"), random.randrange(99))
        return
    if asked.inputs.from_files:
        names = [f"x.{form}" for form in ("png", "jpeg", "webp", "gif", "tiff", "bmp")]
        name = random.choice(names)
        (folder / name).write_bytes(damaged(picture(name[2:].upper(), random.randrange(9)), random))
        found = predict.read_inputs(asked, [str(folder / name)], [])
    else:
        _, texts = random.choice([source for source in SOURCES if source[0]["format"] == "table"])
        [(name, content)] = texts.items()
        content = content.encode() if isinstance(content, str) else content
        name = random.choice((name, name, "lines.txt", name + ".gz"))
        (folder / name).write_bytes(
            damaged(gzip.compress(content, mtime=0) if name.endswith(".gz") else content, random)
        )
        text = damaged(content[:200], random).decode(errors="surrogateescape")
        found = predict.read_inputs(asked, [text], [folder / name], predict.Form(random.choice(("text", "label"))))
    say(asked, found)


def ask(asked: Generator, text: str, seed: int) -> None:
    """How likely the text is, and what may follow."""
    tokens = asked.tokenizer.encode(valid_text(text, "a text"))
    assert np.isfinite(asked.token_losses(tokens)).all()
    "".join(asked.tokenizer.decode(asked.generate(tokens, 20, Sampling(0.8, 20, 0.9), seed=seed))).encode()


def answer(asked: Predictor | Generator, folder: Path) -> None:
    """A question that each package can answer."""
    if isinstance(asked, Generator):
        ask(asked, "a text of some words", 0)
    elif asked.inputs.from_files:
        picture_file = folder / "asked.png"
        picture_file.write_bytes(picture())
        say(asked, predict.read_inputs(asked, [str(picture_file)], []))
    else:
        say(asked, predict.read_inputs(asked, ["a text of some words"], []))


def say(asked: Predictor, found: Iterator[predict.Input]) -> None:
    """As predict does; raises the first mistake when all is answered."""
    given = list(found)
    good = [(item, item.encoded) for item in given if not isinstance(item.encoded, UserError)]
    bad = [item.encoded for item in given if isinstance(item.encoded, UserError)]
    form = forms.Json(View(asked.task))
    for (item, _), row in zip(good, asked.outputs([encoded for _, encoded in good]), strict=True):
        assert np.isfinite(row).all()
        form.write(item, row)
    for error in bad:
        one_line(error)
    if bad:
        raise bad[0]


@cache
def a_run() -> TrainingRun:
    network = YAML(typ="safe").load((TOP / "params.yaml").read_text())["models"]["cnn"]["network"]
    optimizer = partial(optimizers.build, Adam(name="adam"), lambda _: 0.1, weight_decay=0.0, gradient_clip=None)
    return TrainingRun(trainer.start(NETWORKS["cnn"].model_validate(network), images(), optimizer, seed=0)[1])


def a_checkpoint(folder: Path, random: Random) -> None:
    """Damaged: the one before must be found. Or changed by hand and sealed again: it may be refused."""
    run = a_run()
    keeper = Checkpointer(folder / "run", every=0)
    whole = to_checkpoint(run)
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
        found = files.newest(folder / "run")
        assert found
        from_checkpoint(found, run.state)
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
    (a_package, 2),
    (a_checkpoint, 3),
    (a_strange_package, 2),
    (an_input, 2),
)
