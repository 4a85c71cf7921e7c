"""Stage 3: arrays -> a trained model, its curves and its metrics. Runs on whatever device JAX finds."""

import json
import time
from typing import Annotated, Any

import jax
import pandas as pd
from pydantic import NonNegativeInt

from pipeline import batches, check, errors, learner, optim, paths, provenance, strict_json, tasks, weights
from pipeline import params as yaml
from pipeline.models import CONFIGS
from pipeline.params import Key, StageParams
from pipeline.training import Training, fit


class Params(StageParams):
    seed: Annotated[NonNegativeInt, Key("seed")]
    model: Annotated[str, Key("model")]
    network: Annotated[dict[str, Any], Key("models.{model}.network")]
    training: Annotated[Training, Key("models.{model}.training")]


def main() -> None:
    check.params()
    params = Params.load()
    settings = params.training
    task = tasks.read(paths.FEATURES / "task.json")
    train, validation = (batches.load(paths.features(split), task) for split in ("train", "validation"))

    steps = batches.steps_an_epoch(train, batch=settings.batch_size, ends=batches.ends(tasks.lengths(train)))
    rate = optim.learning_rate(settings.learning_rate, settings.schedule, epochs=settings.epochs, steps=steps)
    learn, state = learner.start(
        yaml.validate(CONFIGS[params.model], params.network, under=f"models.{params.model}.network"),
        task,
        optim.build(settings.optimizer, rate, weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip),
        seed=params.seed,
        label_smoothing=settings.label_smoothing,
        class_weights=tasks.balanced(task.counts) if settings.class_weights == "balanced" else None,
        augmentation=settings.augmentation,
    )
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    device = jax.devices()[0]
    on = f"{device.platform} ({device.device_kind})" if device.platform != device.device_kind else device.platform
    print(f"{params.model}: {parameters:,} parameters, {len(train):,} examples, on {on}")

    paths.LOGS.mkdir(exist_ok=True)
    with open(paths.LOGS / "train.jsonl", "a", encoding="utf-8") as log:

        def note(figures: dict[str, Any]) -> None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            print(json.dumps({"time": stamp, "model": params.model, **figures}), file=log, flush=True)

        result = fit(learn, state, train, validation, settings, rate, seed=params.seed, log=note)

    weights.write(paths.MODEL / "weights.safetensors", {"params": result.params, "rest": result.rest})
    inputs = [path for split in ("train", "validation") for path in sorted(paths.features(split).iterdir())]
    record = provenance.record("train", [paths.FEATURES / "task.json", *inputs], params, model=params.model)
    strict_json.write(paths.MODEL / "provenance.json", record)
    pd.DataFrame(result.history).to_csv(paths.MODEL / "history.csv", index=False, lineterminator="\n")
    kept = result.kept
    strict_json.write(
        paths.MODEL / "metrics.json",
        {
            "parameters": parameters,
            "steps": result.steps,
            "epochs": len(result.history),
            "kept_epoch": kept.epoch,
            "train": {"loss": kept.train_loss, "accuracy": kept.train_accuracy},
            "validation": {"loss": kept.validation_loss, "accuracy": kept.validation_accuracy},
        },
    )


if __name__ == "__main__":
    errors.run(main)
