"""Stage 3: arrays -> a trained model, its curves and its metrics. Runs on whatever device JAX finds."""

import json
import sys
import time
from typing import Annotated, Any

import jax
import pandas as pd
from pydantic import NonNegativeInt

from pipeline import batches, learner, optim, paths, provenance, stage, strict_json, tasks, weights
from pipeline import params as yaml
from pipeline.checkpoint import Checkpoints, fingerprint, interval, top
from pipeline.inputs import Inputs
from pipeline.models import CONFIGS
from pipeline.params import Key, StageParams
from pipeline.run import Run, packed, unpacked
from pipeline.tasks import ClassWeights
from pipeline.training import Training, fit


class Params(StageParams):
    seed: Annotated[NonNegativeInt, Key("seed")]
    model: Annotated[str, Key("model")]
    class_weights: Annotated[ClassWeights, Key("datasets.{dataset}.class_weights")]
    network: Annotated[dict[str, Any], Key("models.{model}.network")]
    training: Annotated[Training, Key("models.{model}.training")]


def main(params: Params, inputs: Inputs) -> None:
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
        class_weights=tasks.balanced(task.counts) if params.class_weights == "balanced" else None,
        augmentation=settings.augmentation,
    )
    parameters = sum(array.size for array in jax.tree.leaves(state.params))
    device = jax.devices()[0]
    on = f"{device.platform} ({device.device_kind})" if device.platform != device.device_kind else device.platform
    print(f"{params.model}: {parameters:,} parameters, {len(train):,} examples, on {on}", flush=True)

    record, machine = provenance.record(inputs, params), provenance.machine()
    name = fingerprint({"made_from": record, "machine": machine})
    keeper = Checkpoints(
        top() / name,
        every=interval(),
        check=inputs.check,
        about={"model": params.model, "seed": params.seed, "made_from": record, "machine": machine},
    )
    paths.LOGS.mkdir(exist_ok=True)
    with keeper.only_writer(), open(paths.LOGS / "train.jsonl", "a", encoding="utf-8") as log:
        noted = 0.0

        def note(figures: dict[str, Any]) -> None:
            """Writes the figures of an epoch; of mere steps, a line every ten seconds."""
            nonlocal noted
            if "train_loss" not in figures and time.monotonic() - noted < min(10, keeper.every):
                return
            noted = time.monotonic()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            print(json.dumps({"time": stamp, "run": name, "model": params.model, **figures}), file=log, flush=True)

        run = Run(state)
        if found := keeper.newest():
            run = unpacked(found, state)
            print(f"going on from step {int(run.state.step):,}, in epoch {run.epoch}", file=sys.stderr, flush=True)
        keeper.snapshot.reserve(packed(run).arrays)
        note({"epoch": run.epoch, "step": int(run.state.step), "begins": True})
        run = fit(learn, run, train, validation, settings, rate, seed=params.seed, keeper=keeper, log=note)

    kept = run.kept
    weights.write(paths.MODEL / "weights.safetensors", {"params": kept.params, "rest": kept.rest})
    strict_json.write(paths.MODEL / "provenance.json", record)
    pd.DataFrame(run.history).to_csv(paths.MODEL / "history.csv", index=False, lineterminator="\n")
    strict_json.write(
        paths.MODEL / "metrics.json",
        {
            "parameters": parameters,
            "steps": int(run.state.step),
            "epochs": len(run.history),
            "kept_epoch": kept.epoch.epoch,
            "train": {"loss": kept.epoch.train_loss, "accuracy": kept.epoch.train_accuracy},
            "validation": {"loss": kept.epoch.validation_loss, "accuracy": kept.epoch.validation_accuracy},
        },
    )
    # Apart from the model: other processors may well come to the same one. Evaluate, which runs when DVC has written
    # down what was made here, clears the checkpoints away.
    strict_json.write(paths.TRAINED_ON, {**machine, "checkpoints": name})


if __name__ == "__main__":
    stage.run("train", main, Params)
