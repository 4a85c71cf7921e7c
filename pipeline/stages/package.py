"""Stage 5: the trained model -> a folder that loads elsewhere, shown to say there what it said here."""

import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jax import export
from jaxtyping import Array, Float, Int, Shaped

from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation.predictor import Predictor, load
from pipeline.loaders import token_store
from pipeline.models import weights
from pipeline.runtime import classifier, strict_json
from pipeline.runtime.encoders import images, text_tokenizer
from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
from pipeline.runtime.errors import UserError
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import ImageClassification, Labelled, LanguageModelling, SequenceTagging, Task, TextClassification

PLATFORMS = ("cpu", "cuda")
SAMPLES = 3
BEGINNING = 100  # tokens of a sample for a language model
CLASSES = 30  # in the card's table


class Params(StageParams):
    dataset: Annotated[str, Key("dataset")]
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    predictor, task, tree = load(params.network)
    context = getattr(params.network, "context", 0)
    folder = paths.PACKAGE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    weights.write(folder / "model.safetensors", tree)
    jax.config.update("jax_traceback_in_locations_limit", 0)  # else the file names of this machine are in the function
    if isinstance(task, LanguageModelling):
        model: Any = predictor.model(tree["params"], tree["model_state"])
        (folder / "model.jaxexp").write_bytes(exported_reader(predictor, tree, context))
        strict_json.write(folder / "config.json", language_configuration(params, task, model))
    else:
        (folder / "model.jaxexp").write_bytes(exported(predictor, tree, task))
        strict_json.write(folder / "config.json", configuration(params, task))
    if not isinstance(task, LanguageModelling):
        strict_json.write(folder / "labels.json", {"labels": task.labels})
    for path in sorted(paths.ENCODER.iterdir()):
        shutil.copyfile(path, folder / path.name)
    figures = strict_json.read(paths.EVALUATE_METRICS)
    training = strict_json.read(paths.TRAIN_METRICS)
    strict_json.write(folder / "metrics.json", {**figures, "training": training})
    strict_json.write(
        folder / "provenance.json",
        {
            "dataset": params.dataset,
            "train": strict_json.read(paths.TRAINED / "provenance.json"),
            "evaluate": strict_json.read(paths.EVALUATION / "provenance.json"),
            "package": provenance.record(inputs, params),
        },
    )
    write_samples(folder / "sample", task, context)
    (folder / "README.md").write_text(
        card(params, task, figures["test"] | {"parameters": training["parameters"]}), encoding="utf-8", newline="\n"
    )
    classifier.seal(folder)

    # A fresh process, since this one has all the training code loaded.
    selftest = [sys.executable, "-m", "pipeline", "selftest", folder, paths.features("test")]
    if subprocess.run([*selftest, paths.EVALUATION / "test.parquet"], check=False).returncode:
        raise UserError(f"{folder}: its self-test failed, as said above")


def exported(predictor: Predictor, tree: dict[str, Any], task: Task) -> bytes:
    """(weights by name, inputs of any number and length) -> probabilities, as serialised StableHLO for cpu and cuda."""
    names = list(weights.named(tree))
    structure = jax.tree.structure(tree)

    def function(arrays: dict[str, Array], *inputs: Shaped[Array, "b ..."]) -> Float[Array, "b *t k"]:
        whole = jax.tree.unflatten(structure, [arrays[name] for name in names])
        return jax.nn.softmax(predictor.model(whole["params"], whole["model_state"])(task.inputs(*inputs)))

    b, t = export.symbolic_shape("b, t")
    arrays = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in weights.named(tree).items()}
    inputs = task.signature(b, t).values()
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(arrays, *inputs).serialize())


def exported_reader(predictor: Predictor, tree: dict[str, Any], context: int) -> bytes:
    """(weights by name, memory, any number of texts, up to `context` tokens) -> logits and memory, as `exported`."""
    names, structure = list(weights.named(tree)), jax.tree.structure(tree)

    def function(arrays: dict[str, Array], memory: dict[str, Array], tokens: Int[Array, "b t"]) -> Any:
        whole = jax.tree.unflatten(structure, [arrays[name] for name in names])
        model: Any = predictor.model(whole["params"], whole["model_state"])
        return model.decode(memory, tokens)

    b, t = export.symbolic_shape("b, t", constraints=[f"t <= {context}"])
    arrays = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in weights.named(tree).items()}
    memory = remembered(predictor.model(tree["params"], tree["model_state"]), b)
    tokens = jax.ShapeDtypeStruct((b, t), np.int32)
    return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(arrays, memory, tokens).serialize())


def remembered(model: Any, b: object) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes and types of the memory of `b` texts."""
    one, two = jax.eval_shape(lambda: model.init_cache(1)), jax.eval_shape(lambda: model.init_cache(2))
    return {
        name: jax.ShapeDtypeStruct([b if n != m else n for n, m in zip(x.shape, two[name].shape)], x.dtype)
        for name, x in one.items()
    }


def language_configuration(params: Params, task: LanguageModelling, model: Any) -> dict[str, Any]:
    """As `configuration`; the signature is that of a function that reads on from a memory."""
    context = getattr(params.network, "context", 0)
    memory = [{"name": n, "dtype": str(x.dtype), "shape": list(x.shape)} for n, x in remembered(model, -1).items()]
    return {
        "task": task.name,
        "dataset": params.dataset,
        "model": params.model,
        "network": params.network.model_dump(),
        "preprocessing": task.text.model_dump(),
        "vocabulary": task.vocabulary,
        "platforms": PLATFORMS,
        "context": context,
        "bounded": model.bounded,
        "memory": memory,
        "inputs": [{"name": "tokens", "dtype": "int32", "shape": [-1, -1]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [-1, -1, task.vocabulary]}],
    }


def configuration(params: Params, task: Labelled) -> dict[str, Any]:
    """What is needed to rebuild the network and to prepare an input, and the signature of the exported function."""
    match task:
        case ImageClassification():
            facts = {"preprocessing": task.image.model_dump(), "mean": task.mean, "std": task.std}
        case TextClassification():
            facts = {"preprocessing": task.text.model_dump(), "vocabulary": task.vocabulary}
        case SequenceTagging():
            facts = {
                "preprocessing": task.words.model_dump(),
                "vocabulary": task.vocabulary,
                "alphabet": task.alphabet,
            }
    inputs = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in task.signature(-1, -1).items()
    ]
    shape = [-1, *([-1] if isinstance(task, SequenceTagging) else []), task.num_classes]
    return {
        "task": task.name,
        "dataset": params.dataset,
        "model": params.model,
        "network": params.network.model_dump(),
        **facts,
        "platforms": PLATFORMS,
        "inputs": inputs,
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": shape}],
    }


def write_samples(folder: Path, task: Task, context: int) -> None:
    """A few raw inputs of the test split, and what evaluate found for them."""
    folder.mkdir()
    if isinstance(task, LanguageModelling):
        strict_json.write(folder / "expected.json", {"samples": beginnings(task, min(BEGINNING, context - 1))})
        return
    table = pd.read_parquet(paths.EVALUATION / "test.parquet")
    samples: list[dict[str, Any]] = []
    if isinstance(task, SequenceTagging):
        words = pq.ParquetFile(paths.PREPARED / "test.parquet")
        for row in next(words.iter_batches(batch_size=SAMPLES)).to_pylist():
            sentence = row["words"][: task.words.max_length]
            found = table[table["id"] == row["id"]][: len(sentence)]
            samples.append({"words": sentence, **_answer(found["prediction"], found["probability"])})
    else:
        content = pq.ParquetFile(paths.PREPARED / "test.parquet")
        for i, row in enumerate(next(content.iter_batches(batch_size=SAMPLES)).to_pylist()):
            label = table["prediction"].iloc[i]
            answer = _answer([label], [table[f"probability of {label}"].iloc[i]])
            if isinstance(task, ImageClassification):
                name = f"{i}.{images.suffix(row['image'])}"
                (folder / name).write_bytes(row["image"])
                samples.append({"file": name, **answer})
            else:
                samples.append({"text": row["text"], **answer})
    strict_json.write(folder / "expected.json", {"samples": samples})


def beginnings(task: LanguageModelling, most: int) -> list[dict[str, Any]]:
    """The first tokens of a few test documents, and the nats that evaluate found for them."""
    alphabet = ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), task.text)
    found = pd.read_parquet(paths.EVALUATION / "test.parquet", columns=["place", "token", "loss"])
    samples = []
    for start, end in zip(*(token_store.load(paths.features("test")).starts[i : i + SAMPLES] for i in (0, 1))):
        of_it = found[(found["place"] > start) & (found["place"] < end)][:most]
        text = "".join(alphabet.letters(of_it["token"].tolist()))
        samples.append({"text": text, "tokens": len(of_it), "nats": round(float(np.sum(np.asarray(of_it["loss"]))), 3)})
    return samples


def _answer(labels: Any, likely: Any) -> dict[str, Any]:
    return {"labels": list(labels), "probabilities": [round(float(x), 4) for x in likely]}


def card(params: Params, task: Task, figures: dict[str, Any]) -> str:
    """The model card, from the folder cards beside this file."""
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    rows = {
        "accuracy": f"{figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})",
        "loss, nats": f"{figures['loss']:.4f}",
        "accuracy of the baseline": f"{figures['baseline_accuracy']:.4f}",
    }
    if "macro" in figures:
        rows["macro F1"] = f"{figures['macro']['f1']:.4f}"
        rows["calibration error"] = f"{figures['calibration_error']:.4f}"
    for name in ("unseen", "spans"):
        if name in figures:
            rows |= {f"{name}: {key}": f"{value:.4g}" for key, value in figures[name].items()}
    for name in ("nats_per_character", "bits_per_byte", "perplexity", "baseline_nats_per_character"):
        if name in figures:
            rows[name.replace("_", " ")] = f"{figures[name]:.4f}"
    cards = Path(__file__).with_name("cards")
    facts = {"task": task.name, "model": params.model, "dataset": params.dataset, "folder": str(paths.PACKAGE)}
    facts["figures"] = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    if isinstance(task, LanguageModelling):
        table = pd.read_csv(paths.EVALUATION / "per_document_test.csv").head(CLASSES)
        facts |= {"table": markdown(table), "tokens": f"{figures['tokens']:,}", "vocabulary": f"{task.vocabulary:,}"}
        facts |= {"context": getattr(params.network, "context", 0), "parameters": f"{figures['parameters']:,}"}
        return fill(cards / "language-modelling.md", facts)
    table = pd.read_csv(paths.EVALUATION / "per_class_test.csv", keep_default_na=False)
    if len(table) > CLASSES:
        table = table.sort_values("examples", ascending=False, kind="stable").head(CLASSES)
    facts |= {
        "classes": task.num_classes,
        "labels": ", ".join(task.labels[:CLASSES]) + (", ..." if task.num_classes > CLASSES else ""),
        "per_class": markdown(table),
        "examples": f"{figures['examples']:,}",
        "use": fill(cards / f"{task.name}.md", facts).strip(),
    }
    return fill(cards / "card.md", facts)


def fill(template: Path, facts: dict[str, Any]) -> str:
    return string.Template(template.read_text(encoding="utf-8")).substitute(facts)


def markdown(table: pd.DataFrame) -> str:
    lines = [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        lines.append(f"| {' | '.join(f'{x:.3f}' if isinstance(x, float) else str(x) for x in row)} |")
    return "\n".join(lines)
