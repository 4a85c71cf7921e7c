"""Stage 4: what the trained model is worth on the test splits, which nothing before has looked at."""

import shutil
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.special
from jaxtyping import Float

from pipeline.config import paths
from pipeline.config.networks import Network
from pipeline.config.params import Key, StageParams
from pipeline.evaluation import attribution, html, language_model, metrics, plots
from pipeline.evaluation.predictor import Predictor, Tree, load, predict
from pipeline.loaders import buckets
from pipeline.runtime import strict_json
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.hashes import sha256
from pipeline.stages import provenance
from pipeline.stages.stage_files import Inputs
from pipeline.tasks import (
    Examples,
    ImageClassification,
    Labelled,
    LanguageModelling,
    SequenceTagging,
    TextClassification,
)

SHOWN = 18  # mistakes in a picture
TEXTS = 8  # mistakes on the page
CONFUSED = 20  # tags in the picture
LONGEST = 200  # tokens of a text that are explained


class Params(StageParams):
    model: Annotated[str, Key("model")]
    network: Annotated[Network, Key("models.{model}.network", tag="model")]


def main(params: Params, inputs: Inputs) -> None:
    predictor, task, tree = load(params.network)

    shutil.rmtree(paths.IMAGES, ignore_errors=True)
    paths.EVALUATION.mkdir(exist_ok=True)
    figures: dict[str, Any] = {}
    for split in paths.TESTS:
        if not (paths.features(split) / "ids.npy").exists():
            continue  # not every source has a harder test split
        if isinstance(task, LanguageModelling):
            context = getattr(params.network, "context", 0)
            figures[split] = language_model.evaluate(split, predictor, tree, task, context)
            continue
        test = buckets.load(paths.features(split), task)
        logits = predict(predictor, tree["params"], tree["model_state"], test)
        probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)  # n k
        if isinstance(task, SequenceTagging):
            figures[split] = tagging(split, task, test, probabilities)
        else:
            figures[split] = classification(split, task, test, probabilities)
        if split == "test":
            pictures(task, test, probabilities)
            mistakes(predictor, tree, task, test, probabilities)
    strict_json.write(paths.EVALUATE_METRICS, figures)
    strict_json.write(paths.EVALUATION / "provenance.json", provenance.record(inputs, params))
    record_machines()

    # Small and in git, so that a clone has them without a remote. Train itself may not write them: DVC never
    # restores a stage from its run cache that has outputs outside the cache.
    paths.HISTORY.parent.mkdir(exist_ok=True)
    shutil.copyfile(paths.TRAINED / "history.csv", paths.HISTORY)
    shutil.copyfile(paths.TRAINED / "metrics.json", paths.TRAIN_METRICS)
    plots.save(plots.curves(pd.read_csv(paths.HISTORY)), paths.IMAGES / "curves.png")


def record_machines() -> None:
    """Writes which machines trained and evaluated the model, unless the file already speaks of this very model: the
    same bytes made on another machine change nothing.
    """
    weights = sha256(paths.TRAINED / "weights.safetensors")
    if paths.MACHINES.exists() and strict_json.read(paths.MACHINES).get("weights") == weights:
        return
    trained_on = strict_json.read(paths.TRAINED_ON) if paths.TRAINED_ON.exists() else {}
    known = trained_on["machine"] if trained_on.get("weights") == weights else {}
    strict_json.write(paths.MACHINES, {"weights": weights, "train": known, "evaluate": provenance.machine()})


def classification(
    split: str, task: Labelled, test: Examples, probabilities: Float[np.ndarray, "n k"]
) -> dict[str, Any]:
    """Writes the tables of one test split; returns its figures."""
    names, targets = np.array(task.labels), np.asarray(test.targets)
    columns = {
        "id": np.load(paths.features(split) / "ids.npy").astype(str),
        "label": names[targets],
        "prediction": names[probabilities.argmax(-1)],
    }
    table = pd.DataFrame(columns | {f"probability of {name}": probabilities[:, i] for i, name in enumerate(names)})
    table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
    by_class = metrics.per_class(probabilities, targets, task.labels)
    by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
    usual = int(np.argmax(task.counts))
    figures = metrics.classification(probabilities, targets)
    if len(names) <= 30:
        print(by_class.to_string(index=False, float_format="{:.3f}".format))
    tell(split, figures)
    return {"examples": len(targets), "baseline_accuracy": float((targets == usual).mean()), **figures}


def tagging(
    split: str, task: SequenceTagging, test: Examples, probabilities: Float[np.ndarray, "n k"]
) -> dict[str, Any]:
    """Writes the tables of one test split; returns its figures. The baseline gives each word its most frequent tag."""
    labels, targets, starts = labels_of(split, task), np.asarray(test.targets), np.asarray(test.starts)
    names = np.array(labels)
    usual = np.load(paths.features(split) / "usual.npy")
    sizes = np.diff(starts)
    table = pd.DataFrame(
        {
            "id": np.repeat(np.load(paths.features(split) / "ids.npy").astype(str), sizes),
            "place": np.concatenate([np.arange(size) for size in sizes]),
            "label": names[targets],
            "prediction": names[probabilities.argmax(-1)],
            "probability": probabilities.max(-1),
            "unseen": usual < 0,
        }
    )
    table.to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
    by_class = metrics.per_class(probabilities, targets, labels)
    by_class.to_csv(paths.EVALUATION / f"per_class_{split}.csv", index=False, lineterminator="\n")
    figures = metrics.tagging(probabilities, targets, starts, usual, labels)
    baseline = np.where(usual < 0, int(np.argmax(task.counts)), usual)
    tell(split, figures)
    seen = figures["unseen"]
    print(f"{split}: {seen['accuracy']:.4f} on the {seen['words']:,} words that training lacks", end="")
    print(f"; F1 of spans {figures['spans']['f1']:.4f}" if "spans" in figures else "")
    return {"examples": len(test), "baseline_accuracy": float((targets == baseline).mean()), **figures}


def labels_of(split: str, task: Labelled) -> tuple[str, ...]:
    """The labels by their numbers in a split's targets: the model's, then those that the training split lacks."""
    unseen = paths.features(split) / "unseen_tags.npy"
    return (*task.labels, *(np.load(unseen, allow_pickle=False).tolist() if unseen.exists() else ()))


def tell(split: str, figures: dict[str, Any]) -> None:
    accuracy, low, high = (figures[name] for name in ("accuracy", "accuracy_low", "accuracy_high"))
    print(f"{split} accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), loss {figures['loss']:.4f}")


def pictures(task: Labelled, test: Examples, probabilities: Float[np.ndarray, "n k"]) -> None:
    """The confusion of classes, of many the most confused ones, and the calibration."""
    targets, guesses = np.asarray(test.targets), probabilities.argmax(-1)
    names = np.array(labels_of("test", task))
    chosen = metrics.most_confused(targets, guesses, classes=len(names), shown=CONFUSED)
    both = np.isin(targets, chosen) & np.isin(guesses, chosen)
    if isinstance(task, SequenceTagging):
        both &= targets != guesses  # words are many and most are right: what is seen of those would hide the rest
    paths.CONFUSION.parent.mkdir(exist_ok=True)
    pairs = pd.DataFrame({"actual": names[targets[both]], "predicted": names[guesses[both]]})
    pairs.to_csv(paths.CONFUSION, index=False, lineterminator="\n")
    at = np.full(len(names), -1)
    at[chosen] = np.arange(len(chosen))
    counts = np.zeros((len(chosen), len(chosen)), int)
    np.add.at(counts, (at[targets[both]], at[guesses[both]]), 1)
    plots.save(plots.confusion(counts, tuple(names[chosen])), paths.IMAGES / "confusion.png")
    bins = metrics.calibration(probabilities.max(-1), guesses == targets)
    bins.to_csv(paths.CALIBRATION, index=False, lineterminator="\n")
    plots.save(plots.calibration(bins), paths.IMAGES / "calibration.png")


def mistakes(
    predictor: Predictor, tree: Tree, task: Labelled, test: Examples, probabilities: Float[np.ndarray, "n k"]
) -> None:
    """The mistakes that the model was surest of: images as a picture, texts and sentences as a page."""
    targets, guesses = np.asarray(test.targets), probabilities.argmax(-1)
    wrong = np.flatnonzero(guesses != targets)
    worst = wrong[np.argsort(-probabilities[wrong].max(-1), kind="stable")]
    labels = labels_of("test", task)
    titles = {int(i): (labels[guesses[i]], probabilities[i].max(), labels[targets[i]]) for i in worst[:500]}
    if isinstance(task, ImageClassification):
        if len(worst):
            draw_images(predictor, tree, test, worst[:SHOWN], guesses, titles)
        return
    shown: list[html.Mistake] = []
    starts = np.asarray(test.starts)
    if isinstance(task, TextClassification):
        tokenizer = text_tokenizer.load(paths.TOKENIZER)
        for i in map(int, worst[:TEXTS]):
            tokens = np.asarray(test.inputs["tokens"][starts[i] : starts[i + 1]][:LONGEST], np.int32)
            weights = attribution.leave_one_out(predictor, tree["params"], tree["model_state"], tokens, int(guesses[i]))
            shown.append(html.Mistake(*titles[i], text_tokenizer.pieces(tokenizer, tokens.tolist()), weights))
    else:
        words = html.sentences(paths.PREPARED / "test.parquet", task.words.max_length)
        for i in map(int, worst[: 5 * TEXTS]):
            sentence = int(np.searchsorted(starts, i, side="right")) - 1
            pointed = np.zeros(starts[sentence + 1] - starts[sentence])
            pointed[i - starts[sentence]] = 1.0
            shown.append(html.Mistake(*titles[i], [f"{word} " for word in words[sentence]], pointed))
    html.write_mistakes(paths.EVALUATION / "mistakes.html", shown, explained=isinstance(task, TextClassification))


def draw_images(
    predictor: Predictor, tree: Tree, test: Examples, worst: np.ndarray, guesses: np.ndarray, titles: dict[int, Any]
) -> None:
    """Each image with the pixels that led the model there."""
    images = np.asarray(test.inputs["images"][worst])
    pixels, _ = attribution.integrated_gradients(
        predictor, tree["params"], tree["model_state"], jnp.asarray(images, jnp.float32), jnp.asarray(guesses[worst])
    )
    lines = [f"{guess} {likely:.2f}\n(is {actual})" for guess, likely, actual in (titles[int(i)] for i in worst)]
    plots.save(plots.explained(images, np.asarray(pixels), lines), paths.IMAGES / "mistakes.png")
