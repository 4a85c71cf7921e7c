"""Makes a package anew with today's code, from the configuration and the weights in it:

    python -m pipeline repackage old-package --out package

JAX promises to read an exported function for six months. What was trained, measured and sampled is kept, and the new
package must answer as the old one does; else nothing is written. The old package stays as it is.
"""

import argparse
import os
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from pipeline.commands.packages import equality
from pipeline.config.networks import Network
from pipeline.config.section import Section, validate
from pipeline.evaluation.predictor import restore
from pipeline.examples.inputs import InputKind
from pipeline.examples.inputs import Inputs as AnyInputs
from pipeline.packaging import model_card, writer
from pipeline.runtime import package, strict_json
from pipeline.runtime.errors import UserError
from pipeline.runtime.hashes import sha256
from pipeline.runtime.trust import manifest
from pipeline.stages import library_versions, provenance, stage_files
from pipeline.tasks import TASKS

# Of data and figures: copied as they are, where a package has them. All else is made anew.
KEPT = (
    "labels.json",
    "image.json",
    "baselines.npy",
    "tokenizer.json",
    "words.json",
    "metrics.json",
    "sample",
    "licences",
)
HEADING = "## Made anew"
HISTORY = """\
The functions, `runtime/` and the files that describe them were made anew, by `python -m pipeline repackage`,
from the configuration and the weights of an older package, whose answers they give. The figures above are those of the
first one; `provenance.json` has the history.
"""


class _Described(Section):
    """What config.json says of the network and its inputs."""

    network: Network
    inputs: Annotated[AnyInputs, Field(discriminator="kind")]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline repackage", description="Makes a package anew with today's code, from its weights."
    )
    parser.add_argument("package", type=Path, help="folder that the package stage, or this command, wrote")
    parser.add_argument("--out", type=Path, help="the new folder (default: PACKAGE-new)")
    parser.add_argument(
        "--require-key", type=Path, metavar="PUB.PEM", help="the package must be signed by the owner of this public key"
    )
    arguments = parser.parse_args()
    old = arguments.package
    out = arguments.out or old.resolve().with_name(f"{old.resolve().name}-new")
    if os.path.lexists(out):
        raise UserError(f"{out}: is there already: remove it, or name another folder with --out")
    config = package.open_package(old, arguments.require_key)
    made = out.with_name(f".{out.name}.{os.getpid()}")  # on the same disk, so that it is complete or not there
    try:
        compared = write(made, old, config)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    print(f"{out}: answers as {old} does: {compared}")


def write(folder: Path, old: Path, config: dict[str, Any]) -> str:
    """The new package, in a new folder; returns what was compared. Raises UserError where the answers differ."""
    trained = unpacked(old, config)
    folder.mkdir(parents=True)
    writer.write_model(folder, trained)
    for name in KEPT:
        if (old / name).is_dir():
            shutil.copytree(old / name, folder / name, copy_function=shutil.copyfile)
        elif (old / name).exists():
            shutil.copyfile(old / name, folder / name)
    before = package.read_object(old / "provenance.json", "package", "data", "train")
    now = record(old, trained.network.name)
    earlier = [*before.get("earlier_packages", []), before["package"]]
    strict_json.write(folder / "provenance.json", before | {"package": now, "earlier_packages": earlier})
    why_no_onnx, source = equality.write_onnx(folder, trained), before["data"]["source"]
    writer.describe(folder, trained, source=source, data=before["train"]["inputs"])
    facts = model_card.facts(folder, source, why_no_onnx)
    card = renewed((old / "README.md").read_text(encoding="utf-8"), facts)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    manifest.seal(folder)
    compared = (equality.of_functions(old, folder, trained), equality.of_samples(old, folder, trained))
    return ", ".join(compared)


def unpacked(old: Path, config: dict[str, Any]) -> writer.Trained:
    """The model that the package holds. Raises UserError where this version cannot build it."""
    where = old / "config.json"
    kinds = {kind.model_fields["kind"].default: kind for kind in get_args(AnyInputs)}
    fields = kinds.get(config.get("input_kind"), InputKind).model_fields
    inputs = {name: config[name] for name in fields if name in config}
    inputs |= {"kind": config.get("input_kind"), "settings": config["preprocessing"]}
    described = validate(_Described, {"network": config.get("network"), "inputs": inputs}, where)
    labels = strict_json.read(old / "labels.json") if (old / "labels.json").exists() else {}
    try:
        task = TASKS[config["task"]].unpack(described.inputs, config, labels)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: does not fit labels.json ({error}): make the package anew with `dvc repro`"
        ) from error
    predictor, tree = restore(described.network, task, old / "model.safetensors")
    if manifest.read(old)["format"] == manifest.OLDEST:
        ours = partial(task.export, predictor, tree, described.network)
        task = task.complete(lambda: equality.both(ours(), old, task.inputs))
    names = {"model": config["model"], "dataset": config["dataset"]}
    return writer.Trained(task, described.network, replace(predictor, task=task), tree, names)


def record(old: Path, model: str) -> dict[str, Any]:
    """What the new package is made with, and from."""
    code = [
        path for path in stage_files.dependencies("package", source=None, model=model) if path.parts[0] == "pipeline"
    ]
    return {
        "from": {"format": manifest.read(old)["format"], "manifest": sha256(old / manifest.MANIFEST)},
        "code": {path.as_posix(): sha256(path) for path in stage_files.files(code)},
        "versions": library_versions.installed(),
        "device": provenance.device(),
    }


def renewed(card: str, facts: dict[str, str]) -> str:
    """The model card: what it says of the model stays, what it says of use and files is of the new package."""
    told, _, rest = card.partition(f"\n{HEADING}\n")[0].partition("\n## Use\n")
    limits = re.sub(r"\nJAX \S+ made .*", "", rest.partition("\n## Limits\n")[2], flags=re.DOTALL).strip()
    return model_card.fill("renewed.md", told=told, limits=limits, heading=HEADING, history=HISTORY.strip(), **facts)
